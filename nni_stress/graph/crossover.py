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

import copy
from collections.abc import Mapping, Set
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn

from ..utils.messages import one_line
from .cluster_graph import ClusterGraph
from .following.cutting import cut
from .following.structure import removed_flags
from .origins import Origins, founding, origins_of, removed_of, synthesize
from .slicing import balanced

__all__ = ["Origins", "founding", "synthesize", "union"]

Tensors: TypeAlias = Mapping[str, torch.Tensor]


class _Parent(NamedTuple):
    removed: set[int]
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
    removed = balanced(graph, parents[0].removed & parents[1].removed)
    network = copy.deepcopy(founder)
    cut(network, graph.structure, removed)
    places = _places(graph, founder.state_dict(), removed)
    for name, tensor in network.state_dict().items():
        inherited = [parent.tensors[name].to(tensor) for parent in parents]
        if name in places:
            mean = _mean(full[name], inherited, [parent.places[name] for parent in parents])
            kept = mean.masked_select(places[name].to(mean.device))
            tensor.copy_(kept.view_as(tensor))
        elif tensor.is_floating_point():
            tensor.copy_(sum(inherited, torch.zeros_like(tensor)) / 2)
        else:
            tensor.copy_(inherited[0])
    return network, origins_of(graph, removed)


def _parent(
    which: str, graph: ClusterGraph, founder: nn.Module, network: nn.Module, origins: Origins
) -> _Parent:
    try:
        removed = removed_of(graph, origins)
        places = _places(graph, founder.state_dict(), removed)
        _check_shapes(founder.state_dict(), network.state_dict(), places)
    except ValueError as error:
        message = f"the {which} parent is not of this founder: {one_line(error)}"
        raise ValueError(message) from None
    return _Parent(removed, network.state_dict(), places)


def _places(graph: ClusterGraph, full: Tensors, removed: Set[int]) -> dict[str, torch.Tensor]:
    """Where in the founder's tensors the survivors are: masks that broadcast to the tensors.

    Origins ascend, so that the small network's tensor is the founder's tensor at these places.
    """
    gone = removed_flags(graph.structure, removed)
    places = {}
    for tensor in graph.structure.tensors:
        if tensor.names[0] not in full:  # a buffer that is not saved
            continue
        if not len(tensor.shape) or not full[tensor.names[0]].is_floating_point():
            continue
        place = torch.ones([1] * len(tensor.shape), dtype=torch.bool)
        for dim, labels in enumerate(tensor.dims):
            alive = torch.from_numpy(~gone[labels])
            shape = [-1 if index == dim else 1 for index in range(len(tensor.shape))]
            place = place & alive.view(shape)
        if tensor.grouped is not None:
            columns = torch.from_numpy(~gone[tensor.grouped])
            rows = tensor.shape[0] // len(columns)
            columns = columns.repeat_interleave(rows, 0)
            place = place & columns.view(*columns.shape, *[1] * (len(tensor.shape) - 2))
        places.update(dict.fromkeys(tensor.names, place))
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
            place = places[name].expand_as(tensor)
            expected[0] = int(place.flatten(1).any(1).sum() if place.dim() > 1 else place.sum())
            for dim in range(1, tensor.dim()):  # in each row of a grouped convolution others
                lines = place.movedim(dim, -1).reshape(-1, tensor.shape[dim]).sum(1)
                expected[dim] = int(lines.max())
        if list(tensors[name].shape) != expected:
            raise ValueError(f"{name} should be {expected}, but is {list(tensors[name].shape)}")


def _mean(
    full: torch.Tensor, tensors: list[torch.Tensor], places: list[torch.Tensor]
) -> torch.Tensor:
    """A tensor of the founder's shape: the mean over the parents that have a place, elsewhere 0.

    Clusters that neither parent has are the founder's.
    """
    total = torch.zeros_like(full)
    parents_at = torch.zeros_like(full)
    for tensor, place in zip(tensors, places):
        place = place.to(full.device).expand_as(full)
        total += torch.zeros_like(full).masked_scatter(place, tensor)
        parents_at += place
    total /= parents_at.clamp(min=1)
    if full.dim():
        in_neither = parents_at.reshape(len(full), -1).sum(1) == 0
        total[in_neither] = full[in_neither]
    return total
