"""What of a network can be removed, layer by layer, and what stays and why."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from nni.compression.base.config import select_modules_by_config, trans_legacy_config_list
from torch import nn

from ..graph.cluster_graph import ClusterGraph
from ..hparams import check_value
from .cluster_draw import may_lose
from .config_list import checked_config
from .targets import unwrapped_copy

_HEADINGS = ("layer", "kind", "clusters", "prunable", "parameters", "MACs", "goes with, or stays")
_NAMES = 2  # names of layers that a row of the printed table shows in full


class InspectedLayer(NamedTuple):
    """A layer of a network.

    Parameters
    ----------
    name
        Its name.
    kind
        Its type.
    clusters
        Number of clusters that its outputs are: channels, neurons, heads. 0 if it has none, as
        operators between layers.
    prunable
        How many of these can be removed, one by one or with others, but for the last.
    goes_with
        Other layers that lose the same clusters.
    parameters
        Number of its weights and biases.
    macs
        Its multiply-accumulates for one example.
    reason
        Why clusters of it stay: the operator, with file and line of the network's program, or what
        the config list leaves out. Empty where all can be removed.

    Examples
    --------
    >>> InspectedLayer("fc", "Linear", 8, 8, (), 40, 32, "").prunable
    8
    """

    name: str
    kind: str
    clusters: int
    prunable: int
    goes_with: tuple[str, ...]
    parameters: int
    macs: int
    reason: str


@dataclass(frozen=True)
class Inspection:
    """A network, layer by layer. As text it is a table.

    Parameters
    ----------
    layers
        Its layers, in the order of the calls.
    parameters, macs
        Weights and biases of the whole network, and its multiply-accumulates for one example.
    least_parameters, least_macs
        The same where every layer keeps as few clusters as it can.
    """

    layers: list[InspectedLayer]
    parameters: int
    macs: int
    least_parameters: int
    least_macs: int

    def __str__(self) -> str:
        rows = [_HEADINGS, *map(_texts, self.layers)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS) - 1)]
        lines = [_line(row, widths) for row in rows]
        lines.append("")
        for name, whole, least in (
            ("parameters", self.parameters, self.least_parameters),
            ("MACs", self.macs, self.least_macs),
        ):
            share = f" ({least / whole:.1%})" if whole else ""
            lines.append(f"{whole:,} {name}, of which at least {least:,}{share} stay")
        return "\n".join(lines)


def inspect(
    network: nn.Module,
    example_input: Any,
    config_list: Sequence[Mapping[str, Any]] | None = None,
    attention: str = "heads",
) -> Inspection:
    """Find out which clusters (output channels, neurons, heads, ...) of a network can be removed.

    Parameters
    ----------
    network
        Any network that runs. It is left alone.
    example_input
        One batch of inputs: a tensor, a tuple of several, or a mapping of keyword arguments.
    config_list
        NNI's pruning config, without or with sparsities: which layers may lose clusters. By
        default, all.
    attention
        What attentions lose: whole ``"heads"``, or ``"width"`` in all their heads.

    Returns
    -------
    Inspection
        Its layers; ``print`` shows them as a table.

    Raises
    ------
    ValueError, TypeError
        If the network does not run, or the config list is not valid.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(inspect(network, torch.rand(1, 4)))
    layer  kind    clusters  prunable  parameters  MACs  goes with, or stays
    0      Linear         8         8          40    32
    2      Linear         2         0          18    16  stays: reaches the network's output
    <BLANKLINE>
    58 parameters, of which at least 9 (15.5%) stay
    48 MACs, of which at least 6 (12.5%) stay
    """
    network = unwrapped_copy(network)
    check_value("attention", attention)
    graph = ClusterGraph(network, example_input, attention)
    named = set(graph.outputs) if config_list is None else _selected(network, config_list)
    free = may_lose(graph, network, named)
    sizes = [group.clusters for group in graph.groups]
    least = [group.blocks if may else group.clusters for group, may in zip(graph.groups, free)]
    return Inspection(
        _layers(network, graph, free, named),
        round(graph.parameters(sizes)),
        round(graph.macs(sizes)),
        round(graph.parameters(least)),
        round(graph.macs(least)),
    )


def _selected(network: nn.Module, config_list: Sequence[Mapping[str, Any]]) -> set[str]:
    configs = trans_legacy_config_list(checked_config(config_list, network))
    return {name for config in configs for name in select_modules_by_config(network, config)[0]}


def _layers(
    network: nn.Module, graph: ClusterGraph, free: Sequence[bool], named: Container[str]
) -> list[InspectedLayer]:
    sizes = [group.clusters for group in graph.groups]
    parameters = graph.costs.parameters(sizes)
    macs = graph.costs.macs(sizes)
    groups_of = _groups_of(graph)
    found = []
    for name in _in_order(network, graph, macs):
        module = network.get_submodule(name)
        own = groups_of.get(name, [])
        stay = graph.outputs.get(name, []).count(0)
        others = {layer for index in own for layer in graph.groups[index].layers} - {name}
        found.append(
            InspectedLayer(
                name or "(the network)",
                type(module).__name__,
                stay + sum(sizes[index] for index in own),
                sum(sizes[index] for index in own if free[index]),
                tuple(layer for layer in graph.outputs if layer in others),
                round(parameters.get(name, 0)),
                round(macs.get(name, 0)),
                _reason(name, module, graph, own, free, named),
            )
        )
    return found


def _groups_of(graph: ClusterGraph) -> dict[str, list[int]]:
    """For each module, the groups of clusters that show in it."""
    found: dict[str, list[int]] = {}
    for index, group in enumerate(graph.groups):
        for layer in group.layers or [graph.module_of(index)]:
            found.setdefault(layer, []).append(index)
    return found


def _in_order(network: nn.Module, graph: ClusterGraph, macs: Iterable[str]) -> list[str]:
    """Modules that compute, in the order of the calls; then those that have not run."""
    worth = {name for name, module in network.named_modules() if _has_weights(module)}
    worth.update(graph.outputs, macs)
    ran = [name for name in graph.structure.input_shapes if name in worth]
    return [*ran, *(name for name, _ in network.named_modules() if name in worth - set(ran))]


def _has_weights(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))


def _reason(
    name: str,
    module: nn.Module,
    graph: ClusterGraph,
    groups: Sequence[int],
    free: Sequence[bool],
    named: Container[str],
) -> str:
    if name in graph.frozen or not groups:
        return graph.why_frozen(name) if _has_weights(module) else ""
    kept = [graph.groups[index] for index in groups if not free[index]]
    missing = [layer for group in kept for layer in group.layers if layer not in named]
    if not kept:
        return ""
    if not missing or name in missing:
        return "the config list does not select it"
    return f"goes with {missing[0]}, which the config list does not select"


def _texts(layer: InspectedLayer) -> tuple[str, ...]:
    notes = []
    if layer.goes_with:
        more = len(layer.goes_with) - _NAMES
        notes.append(", ".join(layer.goes_with[:_NAMES]) + (f", {more} more" if more > 0 else ""))
    if layer.reason:
        notes.append(
            f"stays: {layer.reason}" if not layer.prunable else f"some stay: {layer.reason}"
        )
    return (
        layer.name,
        layer.kind,
        f"{layer.clusters:,}",
        f"{layer.prunable:,}",
        f"{layer.parameters:,}",
        f"{layer.macs:,}",
        "; ".join(notes),
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        text.ljust(width) if column < 2 else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths))
    ]
    return "  ".join([*cells, row[-1]]).rstrip()
