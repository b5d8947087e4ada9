"""Origins of a network: which of the founder's clusters (output channels or neurons) it still has.

All networks of one evolution descend from the same founder, so that origins make their clusters
comparable. They follow a network through every synthesis, and are stored beside it as plain data.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .grouping import output_dim, weight_of
from .slicing import balanced

# {layer: the founder's indices of the output channels that it still has, ascending}
Origins: TypeAlias = dict[str, list[int]]


class Synthesizer(Protocol):
    """What :func:`synthesize` needs of a StressPruner."""

    bound_model: Any

    def synthesize(
        self, example_input: Any, optimizer: torch.optim.Optimizer | None = None
    ) -> nn.Module:
        """Build the physically small offspring."""


def founding(founder: nn.Module, example_input: Any) -> Origins:
    """Origins of the founder itself: all clusters of every linear and convolution layer.

    Parameters
    ----------
    founder
        The founder's network.
    example_input
        One batch of inputs, a tensor or a tuple of tensors. Layers that it does not pass through
        are left out.

    Raises
    ------
    ValueError
        If the network cannot be followed.

    Examples
    --------
    >>> founding(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    {'0': [0, 1, 2], '1': [0]}
    """
    return origins_of(ClusterGraph(founder, example_input), set())


def synthesize(
    pruner: Synthesizer, example_input: Any, origins: Origins
) -> tuple[nn.Module, Origins]:
    """Let a pruner build the physically small offspring, and find out which clusters it has.

    The pruner's masks do not show that: masked clusters may stay because of a shortcut, and layers
    without masks may shrink along with others. Therefore the founder's indices travel through the
    synthesis as an optimizer's state of the weights.

    Parameters
    ----------
    pruner
        A StressPruner that has compressed an ancestor. It cannot be used afterwards.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    origins
        Origins of the ancestor.

    Returns
    -------
    offspring : torch.nn.Module
        As ``pruner.synthesize`` returns it.
    origins : dict
        Origins of the offspring.

    Raises
    ------
    ValueError
        If the origins are not the ancestor's.

    Examples
    --------
    >>> from nni_stress import StressPruner
    >>> ancestor = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> ancestor[0].weight.data[1] = 0
    >>> origins = founding(ancestor, torch.rand(1, 2))
    >>> config = [{"op_names": ["0"], "sparse_ratio": 0.4}]
    >>> pruner = StressPruner(ancestor, config, temperature=0)
    >>> _ = pruner.compress()
    >>> offspring, origins = synthesize(pruner, torch.rand(1, 2), origins)
    >>> offspring[0], origins
    (Linear(in_features=2, out_features=2, bias=True), {'0': [0, 2], '2': [0]})
    """
    network = pruner.bound_model
    names = {
        name: name.replace("_nni_wrapper.", "")
        for name, _ in network.named_parameters(remove_duplicate=False)
    }
    by_name = {names[n]: p for n, p in network.named_parameters(remove_duplicate=False)}
    dims = {key: _trace_of(network, key, by_name) for key in origins}
    carrier = torch.optim.SGD(network.parameters(), lr=0.0)
    for key, indices in origins.items():
        tensor, dim = dims[key]
        weight = by_name.get(tensor)
        if weight is None or weight.shape[dim] != len(indices):
            found = "no weight" if weight is None else weight.shape[dim]
            raise ValueError(
                f"the origins are another ancestor's: {key} should have {len(indices)} clusters, "
                f"but has {found}"
            )
        column = torch.tensor(indices, dtype=torch.float32, device=weight.device)
        shape = [-1 if index == dim else 1 for index in range(weight.dim())]
        carrier.state[weight]["origins"] = column.view(shape).expand_as(weight)
    offspring = pruner.synthesize(example_input, carrier)
    inherited = {}
    for key, indices in origins.items():
        tensor, dim = dims[key]
        carried = carrier.state[offspring.get_parameter(tensor)].get("origins")
        # There is state for only one of the layers that share a weight, but those lose no clusters.
        inherited[key] = (
            list(indices)
            if carried is None
            else carried.movedim(dim, 0).flatten(1)[:, 0].long().tolist()
        )
    return offspring, inherited


def _trace_of(network: nn.Module, key: str, parameters: Collection[str]) -> tuple[str, int]:
    """The parameter that a key of origins names, and the dimension that its clusters go by."""
    if key in parameters:
        return key, 0
    try:
        dim = output_dim(network.get_submodule(key))
    except AttributeError:
        dim = None
    return weight_of(key), dim or 0


def origins_of(graph: ClusterGraph, removed: Set[int]) -> Origins:
    """Origins of a network that lacks these clusters of the founder's cluster graph.

    Examples
    --------
    >>> graph = ClusterGraph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    >>> origins_of(graph, {2})
    {'0': [0, 2], '1': [0]}
    """
    return {
        key: [index for index, cluster in enumerate(trace.clusters) if cluster not in removed]
        for key, trace in graph.traces.items()
    }


def removed_of(graph: ClusterGraph, origins: Origins) -> set[int]:
    """The clusters of the founder's cluster graph that a network with these origins lacks.

    Raises
    ------
    ValueError
        If the origins do not fit the founder's structure: other layers, indices out of order or out
        of range, layers that should have the same clusters, clusters that must stay, or unequal
        blocks of a grouped convolution.

    Examples
    --------
    >>> graph = ClusterGraph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    >>> removed_of(graph, {"0": [0, 2], "1": [0]})
    {2}
    """
    if set(origins) != set(graph.traces):
        raise ValueError(
            f"origins of the layers {list(graph.traces)} expected, but got those of {list(origins)}"
        )
    removed: set[int] = set()
    for key, trace in graph.traces.items():
        indices = set(origins[key])
        valid = sorted(indices.intersection(range(len(trace.clusters))))
        if not indices or list(origins[key]) != valid:
            raise ValueError(
                f"origins of {key} should ascend and lie below {len(trace.clusters)}, "
                f"but are {origins[key]}"
            )
        lost = {cluster for index, cluster in enumerate(trace.clusters) if index not in indices}
        if 0 in lost:
            raise ValueError(f"{key} should have all its clusters, but has {origins[key]}")
        removed |= lost
    for key, kept in origins_of(graph, removed).items():
        if list(origins[key]) != kept:
            raise ValueError(
                f"a layer that {key} goes together with lacks the clusters "
                f"{sorted(set(origins[key]) - set(kept))}, but {key} has them"
            )
    if balanced(graph, removed) != removed:
        raise ValueError(
            "grouped convolutions should have as many clusters in each block, but have not"
        )
    return removed
