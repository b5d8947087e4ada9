"""Two parents: the union of two survivors of one founder, of which their common offspring is drawn.

In the spirit of Chung, Shafiee, Fieguth, Wong: "The Mating Rituals of Deep Neural Networks: Learning Compact Feature
Representations through Sexual Evolutionary Synthesis", arXiv 1709.02043, of which only the abstract was at hand: an
offspring inherits clusters of synapses from two networks, not one. Two survivors are the founder's offspring, so that their
clusters compare: *origins* tell which of the founder's clusters a network still has. The union of the two is a network like
any other, and becomes an ancestor like any other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .label_propagation import FIXED, depthwise
from .slicing import balanced

Origins = dict[
    str, list[int]
]  # {layer: the founder's indices of the output channels it still has, ascending}


def founding(founder: nn.Module, example_input: Any) -> Origins:
    """Origins of the founder itself: all clusters of every linear and convolution layer that inputs pass through.

    `example_input` is one batch of inputs. A network that cannot be followed is a ValueError.
    """
    return {
        layer: list(range(len(outputs)))
        for layer, (outputs, _) in ClusterGraph(founder, example_input).slots.items()
    }


def synthesize(pruner: Any, example_input: Any, origins: Origins) -> tuple[nn.Module, Origins]:
    """Let a pruner build the physically small offspring, and tell which of the founder's clusters it still has.

    Masks do not say: what they take from a layer may stay for a shortcut's sake, or take layers without masks along. So the
    indices travel through the synthesis beside the synapses, as an optimizer's memory of them does.

    Parameters
    ----------
    pruner
        A StressPruner that has compressed an ancestor; its work ends here.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    origins
        The ancestor's.

    Returns
    -------
    (offspring, origins)
        The offspring, as ``pruner.synthesize`` returns it, and its origins.

    Raises
    ------
    ValueError
        If the origins are not the ancestor's.
    """
    weights = {
        name.replace("_nni_wrapper.", ""): parameter
        for name, parameter in pruner.bound_model.named_parameters(remove_duplicate=False)
    }
    memory = torch.optim.SGD(pruner.bound_model.parameters(), lr=0.0)
    for layer, indices in origins.items():
        weight = weights.get(f"{layer}.weight")
        if weight is None or len(weight) != len(indices):
            raise ValueError(
                f"the origins are another ancestor's: {layer} should have {len(indices)} clusters, but has "
                f"{'no weight' if weight is None else len(weight)}"
            )
        column = torch.tensor(indices, dtype=torch.float32, device=weight.device).view(
            -1, *[1] * (weight.dim() - 1)
        )
        memory.state[weight]["origins"] = column.expand_as(weight)
    offspring = pruner.synthesize(example_input, memory)
    inherited = {}
    for layer, indices in origins.items():
        travelled = memory.state[offspring.get_submodule(layer).weight].get("origins")
        # a weight that layers share is remembered for one of them alone, and loses nothing
        inherited[layer] = (
            list(indices) if travelled is None else travelled.flatten(1)[:, 0].long().tolist()
        )
    return offspring, inherited


@torch.no_grad()
def union(
    founder: nn.Module,
    example_input: Any,
    first: nn.Module,
    first_origins: Origins,
    second: nn.Module,
    second_origins: Origins,
) -> tuple[nn.Module, Origins]:
    """The physically small network that has every cluster which either parent has.

    A synapse (and a bias, and what a norm knows of a cluster) is the mean of the parents' where both have it, and the one's
    that has it. Between a cluster that only one has and one that only the other has there was none; it starts at 0. Where
    a grouped convolution would be left with more clusters in one block than in another, clusters of the founder come back
    to fill the others up, with its synapses; what they tell later layers starts at 0, too.

    Parameters
    ----------
    founder
        The founder's network, of its full size; left alone.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    first, second
        The parents, left alone.
    first_origins, second_origins
        Which of the founder's clusters they have.

    Returns
    -------
    (network, origins)
        The union, in the founder's mode and on its device, and its origins.

    Raises
    ------
    ValueError
        If a parent is not of this founder, or the founder cannot be followed.
    """
    graph, full, parents = ClusterGraph(founder, example_input), founder.state_dict(), []
    for which, parent, origins in (
        ("first", first, first_origins),
        ("second", second, second_origins),
    ):
        try:
            survivors = _survivors(graph, origins)
            places = _places(graph, founder, survivors)
            _check_shapes(full, parent.state_dict(), places)
        except ValueError as error:
            raise ValueError(f"the {which} parent is not of this founder: {error}") from None
        parents.append((survivors, parent.state_dict(), places))
    survivors = balanced(graph, parents[0][0] | parents[1][0])
    network = graph.resized(
        founder, [len(survivors.intersection(clusters)) for clusters in graph.clusters]
    )
    places = _places(graph, founder, survivors)
    for name, tensor in network.state_dict().items():
        theirs = [tensors[name].to(tensor) for _, tensors, _ in parents]
        if name in places:
            joined = _joined(full[name], theirs, [its[name] for _, _, its in parents])
            tensor.copy_(joined.masked_select(_over(joined, places[name])).view_as(tensor))
        else:
            tensor.copy_(sum(theirs) / 2 if tensor.is_floating_point() else theirs[0])
    return network, _origins(graph, survivors)


def _origins(graph: ClusterGraph, survivors: set[int]) -> Origins:
    return {
        layer: [index for index, cluster in enumerate(outputs) if cluster in survivors]
        for layer, (outputs, _) in graph.slots.items()
    }


def _survivors(graph: ClusterGraph, origins: Origins) -> set[int]:
    """The clusters that a parent has."""
    if set(origins) != set(graph.slots):
        raise ValueError(
            f"origins of the layers {list(graph.slots)} expected, but got those of {list(origins)}"
        )
    for layer, (outputs, _) in graph.slots.items():
        if not origins[layer] or list(origins[layer]) != sorted(
            {*range(len(outputs))}.intersection(origins[layer])
        ):
            raise ValueError(
                f"origins of {layer} should ascend and lie below {len(outputs)}, but are {origins[layer]}"
            )
    survivors = {FIXED}.union(
        outputs[index] for layer, (outputs, _) in graph.slots.items() for index in origins[layer]
    )
    for layer, indices in _origins(graph, survivors).items():
        if list(origins[layer]) != indices:
            raise ValueError(
                f"a layer that {layer} goes together with has the clusters "
                f"{sorted(set(indices) - set(origins[layer]))}, but {layer} has not"
            )
    for group, clusters in zip(graph.groups, graph.clusters):
        if group.frozen and not survivors.issuperset(clusters):
            raise ValueError(
                f"{group.layers[0]} should have all its clusters, but has {origins[group.layers[0]]}"
            )
    if balanced(graph, survivors) != survivors:
        raise ValueError(
            "grouped convolutions should have as many clusters in each block, but have not"
        )
    return survivors


def _places(
    graph: ClusterGraph, founder: nn.Module, survivors: set[int]
) -> dict[str, torch.Tensor]:
    """Where in the founder's tensors the survivors lie: a mask of the outputs or, for weights, of outputs and inputs.

    Indices only ever ascend, so the small network's tensor is the founder's at these places, row by row.
    """
    places, device = {}, next(founder.parameters()).device

    def alive(clusters):
        return torch.tensor([cluster in survivors for cluster in clusters], device=device)

    for name, (outputs, inputs) in graph.slots.items():
        layer = founder.get_submodule(name)
        places[f"{name}.bias"] = rows = alive(outputs)
        if depthwise(layer):
            places[f"{name}.weight"] = rows[:, None]
        else:
            blocks = getattr(layer, "groups", 1)
            places[f"{name}.weight"] = (
                rows.view(blocks, -1, 1) & alive(inputs).view(blocks, 1, -1)
            ).flatten(0, 1)
    for name, clusters in graph.norm_slots.items():
        for leaf, tensor in founder.get_submodule(name).state_dict().items():
            if tensor.dim():
                places[f"{name}.{leaf}"] = alive(clusters)
    return places


def _check_shapes(full: dict, tensors: dict, places: dict) -> None:
    if set(full) != set(tensors):
        raise ValueError(
            f"tensors missing {sorted(set(full) - set(tensors))[:5]}, "
            f"not expected {sorted(set(tensors) - set(full))[:5]}"
        )
    for name, tensor in full.items():
        expected = list(tensor.shape)
        if name in places:
            each = (
                places[name].view(len(tensor), -1).sum(1)
            )  # of every row, as many as of the others or none
            expected[: places[name].dim()] = [int(each.count_nonzero()), int(each.max())][
                : places[name].dim()
            ]
        if list(tensors[name].shape) != expected:
            raise ValueError(f"{name} should be {expected}, but is {list(tensors[name].shape)}")


def _joined(
    full: torch.Tensor, tensors: list[torch.Tensor], places: list[torch.Tensor]
) -> torch.Tensor:
    """A tensor of the founder's shape: the mean over those parents that have a place, elsewhere 0."""
    total = sum(
        torch.zeros_like(full).masked_scatter(_over(full, where), tensor)
        for tensor, where in zip(tensors, places)
    )
    having = sum(where.to(full) for where in places)
    total /= _over(full, having.clamp(min=1))
    dead = (
        having.view(len(full), -1).sum(1) == 0
    )  # clusters of neither parent are as in the founder
    total[dead] = full[dead]
    return total


def _over(full: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Places over the first dimensions of a tensor, to be broadcast over its others."""
    return places.view(*places.shape, *[1] * (full.dim() - places.dim()))
