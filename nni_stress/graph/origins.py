"""Origins of a network: which of the founder's clusters (output channels or neurons) it still has.

All networks of one evolution descend from the same founder, so that origins make their clusters
comparable. They follow a network through every synthesis, and are stored beside it as plain data.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .label_propagation import FIXED
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
    graph = ClusterGraph(founder, example_input)
    return {layer: list(range(len(slots.outputs))) for layer, slots in graph.slots.items()}


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
    weights = {
        name.replace("_nni_wrapper.", ""): parameter
        for name, parameter in pruner.bound_model.named_parameters(remove_duplicate=False)
    }
    carrier = torch.optim.SGD(pruner.bound_model.parameters(), lr=0.0)
    for layer, indices in origins.items():
        weight = weights.get(f"{layer}.weight")
        if weight is None or len(weight) != len(indices):
            found = "no weight" if weight is None else len(weight)
            raise ValueError(
                f"the origins are another ancestor's: {layer} should have {len(indices)} clusters, "
                f"but has {found}"
            )
        column = torch.tensor(indices, dtype=torch.float32, device=weight.device)
        column = column.view(-1, *[1] * (weight.dim() - 1))
        carrier.state[weight]["origins"] = column.expand_as(weight)
    offspring = pruner.synthesize(example_input, carrier)
    inherited = {}
    for layer, indices in origins.items():
        weight = offspring.get_parameter(f"{layer}.weight")
        carried = carrier.state[weight].get("origins")
        # There is state for only one of the layers that share a weight, but those lose no clusters.
        inherited[layer] = (
            list(indices) if carried is None else carried.flatten(1)[:, 0].long().tolist()
        )
    return offspring, inherited


def origins_of(graph: ClusterGraph, survivors: Set[int]) -> Origins:
    """Origins of a network that has these clusters of the founder's cluster graph.

    Examples
    --------
    >>> graph = ClusterGraph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    >>> origins_of(graph, {1, 3, 4})
    {'0': [0, 2], '1': [0]}
    """
    return {
        layer: [index for index, cluster in enumerate(slots.outputs) if cluster in survivors]
        for layer, slots in graph.slots.items()
    }


def survivors_of(graph: ClusterGraph, origins: Origins) -> set[int]:
    """The clusters of the founder's cluster graph that a network with these origins has.

    Raises
    ------
    ValueError
        If the origins do not fit the founder's structure: other layers, indices out of order or out
        of range, layers that should have the same clusters, clusters that must stay, or unequal
        blocks of a grouped convolution.

    Examples
    --------
    >>> graph = ClusterGraph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    >>> sorted(survivors_of(graph, {"0": [0, 2], "1": [0]}))
    [0, 1, 3, 4]
    """
    if set(origins) != set(graph.slots):
        raise ValueError(
            f"origins of the layers {list(graph.slots)} expected, but got those of {list(origins)}"
        )
    for layer, slots in graph.slots.items():
        indices = origins[layer]
        valid = sorted(set(range(len(slots.outputs))).intersection(indices))
        if not indices or list(indices) != valid:
            raise ValueError(
                f"origins of {layer} should ascend and lie below {len(slots.outputs)}, "
                f"but are {indices}"
            )
    survivors = {FIXED}.union(
        slots.outputs[index] for layer, slots in graph.slots.items() for index in origins[layer]
    )
    for layer, indices in origins_of(graph, survivors).items():
        if list(origins[layer]) != indices:
            raise ValueError(
                f"a layer that {layer} goes together with has the clusters "
                f"{sorted(set(indices) - set(origins[layer]))}, but {layer} has not"
            )
    for group, clusters in zip(graph.groups, graph.clusters):
        if group.frozen and not survivors.issuperset(clusters):
            layer = group.layers[0]
            raise ValueError(f"{layer} should have all its clusters, but has {origins[layer]}")
    if balanced(graph, survivors) != survivors:
        raise ValueError(
            "grouped convolutions should have as many clusters in each block, but have not"
        )
    return survivors
