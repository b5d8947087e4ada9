"""Layers that keep all clusters (output channels or neurons), and the errors that say why."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nni.compression.base.setting import OUTPUT_PREFIX
from nni.compression.base.target_space import PruningTargetSpace
from torch import nn

from ..graph.cluster_graph import ClusterGraph
from .targets import TargetSpaces, is_active, is_parameter, scaler_of, set_settings, settings_of

_log = logging.getLogger(__name__)

SHOWN = 8  # layers that an error describes
_SPARSITIES = (
    "sparse_ratio",
    "sparse_threshold",
    "min_sparse_ratio",
    "max_sparse_ratio",
    "global_group_id",
    "dependency_group_id",
    "align",
)


def keep_outputs(
    spaces: TargetSpaces, outputs: Collection[str], config_list: Sequence[Mapping[str, Any]]
) -> None:
    """Take the sparsity from layers whose clusters are the network's outputs, and warn.

    A network for ten classes would come back with five outputs otherwise. Single synapses
    (weights) of these layers may still be removed.

    Parameters
    ----------
    spaces
        NNI's targets. Those of the output layers have no sparsity to reach afterwards.
    outputs
        Names of the output layers.
    config_list
        The config list.

    Raises
    ------
    ValueError
        If the config list names an output layer by its name, or no other layer.

    Examples
    --------
    >>> keep_outputs({}, {"head"}, [{"op_types": ["Linear"], "sparse_ratio": 0.5}])
    """
    found = asked_outputs(spaces, outputs)
    for name in found:
        if any(name in config.get("op_names", ()) for config in config_list if _prunes(config)):
            raise ValueError(
                f"op_names names {name!r}, whose outputs are those of the network: they stay; "
                "leave it out"
            )
        for space in spaces[name].values():
            set_settings(space, {**settings_of(space), **dict.fromkeys(_SPARSITIES)})
    if found and not any(
        is_active(space) for targets in spaces.values() for space in targets.values()
    ):
        raise ValueError(
            f"nothing can be removed: the config list names only {', '.join(found)}, whose outputs "
            "are those of the network"
        )
    warn_of_outputs(found)


def asked_outputs(spaces: TargetSpaces, outputs: Collection[str]) -> list[str]:
    """Output layers that the config list asks to lose clusters, sorted."""
    return [
        name
        for name in sorted(outputs)
        if any(_removes_clusters(*target) for target in spaces.get(name, {}).items())
    ]


def warn_of_outputs(layers: Sequence[str]) -> None:
    """Warn that all outputs of these layers stay, if there are any."""
    if layers:
        _log.warning(
            "%s: all outputs stay, as they are those of the network; exclude_op_names says so in "
            "the config list",
            ", ".join(layers),
        )


def _prunes(config: Mapping[str, Any]) -> bool:
    """Whether a config asks for sparsity; NNI's old format has entries that exclude modules."""
    asked = [config, *(config.get("target_settings") or {}).values()]
    sparsities = ("sparse_ratio", "sparse_threshold", "sparsity", "sparsity_per_layer")
    return not config.get("exclude", False) and any(
        settings.get(name) for settings in asked for name in (*sparsities, "total_sparsity")
    )


def _removes_clusters(target: str, space: PruningTargetSpace) -> bool:
    """Whether a target's sparsity removes whole output channels or neurons."""
    settings = settings_of(space)
    if not is_active(space) or settings.get("sparse_ratio") == 0.0:
        return False
    if not is_parameter(space):
        return target.startswith(OUTPUT_PREFIX)
    scaler = scaler_of(space)
    if scaler is None or space.shape is None:
        return False
    sizes = list(scaler.kernel_size)
    padding = [scaler.kernel_padding_val] * (len(space.shape) - len(sizes))
    sizes = padding + sizes if scaler.kernel_padding_mode == "front" else sizes + padding
    whole = [size in (-1, extent) for size, extent in zip(sizes, space.shape)]
    return sizes[0] != -1 and all(whole[1:])


def check_removable(
    network: nn.Module, graph: ClusterGraph, spaces: TargetSpaces, frozen: Sequence[bool]
) -> None:
    """Check that a budget can be kept to at all.

    Parameters
    ----------
    network
        The network.
    graph
        Its cluster graph.
    spaces
        NNI's targets.
    frozen
        For each group of clusters, whether it keeps all of them.

    Raises
    ------
    ValueError
        If no cluster can be removed: with every layer, its type, and why it stays.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(4, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> check_removable(network, graph, {}, [])
    Traceback (most recent call last):
        ...
    ValueError: nothing of the network can be removed: 0 (Linear) reaches the network's output
    """
    if not all(frozen):
        return
    named = {name for name, targets in spaces.items() if any(map(is_active, targets.values()))}
    weights = [tensor for tensor in graph.structure.tensors if len(tensor.shape) > 1]
    owners = {name.rpartition(".")[0] for tensor in weights for name in tensor.names}
    stays = []
    for name, module in network.named_modules():
        if name in owners:
            kind = type(module).__name__
            reason = _reason(name, graph, named)
            stays.append(f"{name or 'the network itself'} ({kind}) {reason}")
    if len(stays) > SHOWN:
        stays[SHOWN:] = [f"and {len(stays) - SHOWN} more layers"]
    why = "; ".join(stays) or "it has no layer with weights"
    raise ValueError(f"nothing of the network can be removed: {why}")


def _reason(name: str, graph: ClusterGraph, named: Collection[str]) -> str:
    if name in graph.outputs and name not in graph.frozen:
        together = next(group.layers for group in graph.groups if name in group.layers)
        missing = [layer for layer in together if layer not in named]
        if name in missing:
            return "is not selected by the config of clusters"
        return f"goes with {missing[0]}, which the config of clusters does not select"
    return graph.why_frozen(name)
