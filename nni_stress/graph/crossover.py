"""Two parents: the union of two survivors, from which their common offspring is synthesized.

Inspired by Chung, Shafiee, Fieguth, Wong: "The Mating Rituals of Deep Neural Networks: Learning
Compact Feature Representations through Sexual Evolutionary Synthesis", arXiv 1709.02043, of which
only the abstract was available. There, an offspring inherits clusters (output channels or neurons)
of synapses (weights) from two networks.

Two survivors of one evolution descend from the same founder, and their origins tell which of the
founder's clusters each still has. The union of the two is an ordinary network, and becomes an
ancestor like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

from ..utils.messages import one_line
from .cluster_graph import ClusterGraph
from .label_propagation import Convolution, depthwise
from .origins import Origins, founding, origins_of, survivors_of, synthesize
from .slicing import balanced

__all__ = ["Origins", "founding", "synthesize", "union"]

Tensors: TypeAlias = Mapping[str, torch.Tensor]


class _Parent(NamedTuple):
    survivors: set[int]
    tensors: Tensors
    places: Tensors


@torch.no_grad()
def union(
    founder: nn.Module,
    example_input: Any,
    first: nn.Module,
    first_origins: Origins,
    second: nn.Module,
    second_origins: Origins,
) -> tuple[nn.Module, Origins]:
    """The physically small network that has every cluster which at least one parent has.

    A weight, a bias, or a norm's number that both parents have becomes the mean of theirs; one that
    a single parent has is taken over. Weights that connect clusters unique to different parents
    start at zero. If the blocks of a grouped convolution would get different numbers of clusters,
    clusters of the founder fill them up, with the founder's weights; the weights by which later
    layers read these clusters start at zero.

    Parameters
    ----------
    founder
        The founder's network in its full size. It is left alone.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.
    first, second
        The parents. They are left alone.
    first_origins, second_origins
        Origins of the parents.

    Returns
    -------
    network : torch.nn.Module
        The union, in the founder's mode and on its device.
    origins : dict
        Origins of the union.

    Raises
    ------
    ValueError
        If a parent does not descend from this founder, or the founder cannot be followed.

    Examples
    --------
    >>> founder = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False))
    >>> first = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1, bias=False))
    >>> second = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    >>> network, origins = union(
    ...     founder, torch.rand(1, 2), first, {"0": [0], "1": [0]}, second, {"0": [0, 2], "1": [0]}
    ... )
    >>> origins
    {'0': [0, 2], '1': [0]}
    >>> torch.equal(network[0].weight[0], (first[0].weight[0] + second[0].weight[0]) / 2)
    True
    >>> torch.equal(network[0].weight[1], second[0].weight[1])
    True
    """
    graph = ClusterGraph(founder, example_input)
    full = founder.state_dict()
    parents = [
        _parent("first", graph, founder, first, first_origins),
        _parent("second", graph, founder, second, second_origins),
    ]
    survivors = balanced(graph, parents[0].survivors | parents[1].survivors)
    keep = [len(survivors.intersection(clusters)) for clusters in graph.clusters]
    network = graph.resized(founder, keep)
    places = _places(graph, founder, survivors)
    for name, tensor in network.state_dict().items():
        inherited = [parent.tensors[name].to(tensor) for parent in parents]
        if name in places:
            mean = _mean(full[name], inherited, [parent.places[name] for parent in parents])
            kept = mean.masked_select(_broadcastable(places[name], mean))
            tensor.copy_(kept.view_as(tensor))
        elif tensor.is_floating_point():
            tensor.copy_(sum(inherited, torch.zeros_like(tensor)) / 2)
        else:
            tensor.copy_(inherited[0])
    return network, origins_of(graph, survivors)


def _parent(
    which: str, graph: ClusterGraph, founder: nn.Module, network: nn.Module, origins: Origins
) -> _Parent:
    try:
        survivors = survivors_of(graph, origins)
        places = _places(graph, founder, survivors)
        _check_shapes(founder.state_dict(), network.state_dict(), places)
    except ValueError as error:
        message = f"the {which} parent is not of this founder: {one_line(error)}"
        raise ValueError(message) from None
    return _Parent(survivors, network.state_dict(), places)


def _places(
    graph: ClusterGraph, founder: nn.Module, survivors: Set[int]
) -> dict[str, torch.Tensor]:
    """Where in the founder's tensors the survivors are.

    A mask of the outputs for biases and norms, of outputs and inputs for weights. Origins ascend,
    so that the small network's tensor is the founder's tensor at these places, row by row.
    """
    places = {}
    device = next(founder.parameters()).device

    def alive(clusters: list[int]) -> torch.Tensor:
        return torch.tensor([cluster in survivors for cluster in clusters], device=device)

    for name, (outputs, inputs) in graph.slots.items():
        layer = founder.get_submodule(name)
        rows = alive(outputs)
        places[f"{name}.bias"] = rows
        if depthwise(layer):
            places[f"{name}.weight"] = rows[:, None]
        else:
            blocks = layer.groups if isinstance(layer, Convolution) else 1
            columns = alive(inputs).view(blocks, 1, -1)
            places[f"{name}.weight"] = (rows.view(blocks, -1, 1) & columns).flatten(0, 1)
    for name, clusters in graph.norm_slots.items():
        for leaf, tensor in founder.get_submodule(name).state_dict().items():
            if tensor.dim() > 0:
                places[f"{name}.{leaf}"] = alive(clusters)
    return places


def _check_shapes(full: Tensors, tensors: Tensors, places: Tensors) -> None:
    """Check that a parent has the founder's tensors, in the shapes that its survivors imply."""
    if set(full) != set(tensors):
        missing = sorted(set(full) - set(tensors))
        extra = sorted(set(tensors) - set(full))
        raise ValueError(f"tensors missing {missing[:5]}, not expected {extra[:5]}")
    for name, tensor in full.items():
        expected = list(tensor.shape)
        if name in places:
            # Every row that survives has the same number of surviving columns.
            columns = places[name].view(len(tensor), -1).sum(1)
            dims = places[name].dim()
            expected[:dims] = [int(columns.count_nonzero()), int(columns.max())][:dims]
        if list(tensors[name].shape) != expected:
            raise ValueError(f"{name} should be {expected}, but is {list(tensors[name].shape)}")


def _mean(
    full: torch.Tensor, tensors: list[torch.Tensor], places: list[torch.Tensor]
) -> torch.Tensor:
    """A tensor of the founder's shape: the mean over the parents that have a place, elsewhere 0.

    Clusters that neither parent has are the founder's.
    """
    total = torch.zeros_like(full)
    parents_at = torch.zeros_like(places[0], dtype=full.dtype)
    for tensor, place in zip(tensors, places):
        total += torch.zeros_like(full).masked_scatter(_broadcastable(place, full), tensor)
        parents_at += place.to(full)
    total /= _broadcastable(parents_at.clamp(min=1), full)
    in_neither = parents_at.view(len(full), -1).sum(1) == 0
    total[in_neither] = full[in_neither]
    return total


def _broadcastable(places: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
    """Places over the first dimensions of a tensor, with ones for its other dimensions."""
    return places.view(*places.shape, *[1] * (full.dim() - places.dim()))
