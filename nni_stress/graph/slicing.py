"""Which clusters masks remove, and what is left of the masks."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TypeAlias

import numpy as np
import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .clusters import in_blocks
from .compact_masks import collapsed
from .following.structure import removed_flags
from .grouping import output_dim

Masks: TypeAlias = Mapping[str, Mapping[str, torch.Tensor | None]]


def removed_by(
    graph: ClusterGraph, network: nn.Module, masks: Masks, also: Set[int] = frozenset()
) -> set[int]:
    """The clusters that masks remove as a whole.

    A cluster shared by several layers stays if any of them keeps it; one that must stay, stays. A
    layer never loses its last cluster, and the blocks of a grouped convolution lose equally many.

    Parameters
    ----------
    graph
        The cluster graph of the masked network.
    network
        The network.
    masks
        ``{layer: {target: tensor of 0 and 1}}``, as a pruner's ``compress`` returns them.
    also
        Further clusters that are removed, although no mask shows it.

    Returns
    -------
    set of int
        Clusters by the graph's numbers.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> graph = ClusterGraph(network, torch.rand(1, 2))
    >>> mask = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    >>> removed_by(graph, network, {"0": {"weight": mask}})
    {2}
    """
    gone = removed_flags(graph.structure, ())
    kept = removed_flags(graph.structure, ())
    for layer, clusters in graph.outputs.items():
        dead = dead_outputs(network.get_submodule(layer), masks.get(layer, {}), len(clusters))
        for flags, own in ((gone, dead), (kept, [not each for each in dead])):
            flags[np.array(clusters, int)[own]] = True
    gone &= ~kept
    gone[list(also)] = True
    removable = {cluster for numbers in graph.clusters for cluster in numbers}
    return balanced(graph, removable.intersection(np.flatnonzero(gone).tolist()))


def keep_outputs(graph: ClusterGraph, network: nn.Module, masks: Masks) -> tuple[Masks, list[str]]:
    """Masks that keep all outputs of the network.

    Parameters
    ----------
    graph
        The cluster graph of the masked network.
    network
        The network.
    masks
        ``{layer: {target: tensor of 0 and 1}}``.

    Returns
    -------
    masks : dict
        The same masks, but for layers of which whole outputs of the network were removed.
    layers : list of str
        The names of these layers.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 2))
    >>> masks, layers = keep_outputs(graph, network, {"2": {"bias": torch.tensor([1.0, 0.0])}})
    >>> masks["2"]["bias"], layers
    (tensor([1., 1.]), ['2'])
    """
    kept = dict(masks)
    changed = []
    for layer in sorted(graph.output_layers.intersection(masks)):
        dim = output_dim(network.get_submodule(layer)) or 0
        targets = {
            name: None if mask is None else _whole(mask, dim if mask.dim() > 1 else 0)
            for name, mask in masks[layer].items()
            if name in ("weight", "bias")
        }
        if any(mask is not masks[layer][name] for name, mask in targets.items()):
            kept[layer] = {**masks[layer], **targets}
            changed.append(layer)
    return kept, changed


def _whole(mask: torch.Tensor, dim: int) -> torch.Tensor:
    """The mask, with those outputs that it removes as a whole; the mask itself if none."""
    if mask.dim() == 0:
        return mask
    own = collapsed(mask).movedim(dim, 0)
    removed = ~own.reshape(len(own), -1).bool().any(1).expand(mask.shape[dim])
    return mask.index_fill(dim, removed.nonzero()[:, 0], 1) if removed.any() else mask


def dead_outputs(
    layer: nn.Module, masks: Mapping[str, torch.Tensor | None], outputs: int
) -> list[bool]:
    """Whether masks remove each output of a layer: its weights, and its bias if that is masked.

    Examples
    --------
    >>> mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> dead_outputs(nn.Linear(2, 2), {"weight": mask, "bias": None}, 2)
    [False, True]
    """
    weight = masks.get("weight")
    dim = output_dim(layer)
    if weight is None or dim is None or weight.dim() == 0:
        return [False] * outputs
    own = collapsed(weight).movedim(dim, 0)
    dead = ~own.reshape(len(own), -1).bool().any(1).expand(outputs)
    bias = masks.get("bias")
    if bias is not None and bias.shape == dead.shape:
        dead = dead & (bias == 0)
    return list(map(bool, dead.tolist()))


def balanced(graph: ClusterGraph, removed: Set[int]) -> set[int]:
    """Bring clusters back until no group is empty, and all its blocks lose the same number.

    Parameters
    ----------
    graph
        The cluster graph.
    removed
        The clusters that are removed.

    Returns
    -------
    set of int
        The same clusters, but for the first of each block that lost more than another.

    Examples
    --------
    >>> layers = nn.Conv1d(1, 4, 1), nn.Conv1d(4, 2, 1, groups=2), nn.Conv1d(2, 1, 1)
    >>> graph = ClusterGraph(nn.Sequential(*layers), torch.rand(1, 1, 5))
    >>> graph.clusters[0], graph.groups[0].blocks
    ([1, 2, 3, 4], 2)
    >>> balanced(graph, {3})
    set()
    """
    result = set(removed)
    for group, clusters in zip(graph.groups, graph.clusters):
        size = len(clusters) // group.blocks
        blocks = in_blocks(clusters, group.blocks)
        lost = [[cluster for cluster in block if cluster in result] for block in blocks]
        fewest = min(size - 1, *(len(block) for block in lost), size)
        for block in lost:
            result.difference_update(block[: len(block) - fewest])
    return _without_empty_layers(graph, result)


def _without_empty_layers(graph: ClusterGraph, removed: set[int]) -> set[int]:
    """A layer whose outputs are all removed gets the first group that it has back."""
    for clusters in graph.outputs.values():
        if clusters and removed.issuperset(clusters):
            index = next(i for i, numbers in enumerate(graph.clusters) if clusters[0] in numbers)
            removed = removed.difference(graph.clusters[index][: graph.groups[index].blocks])
    return removed


def masks_of(graph: ClusterGraph, network: nn.Module, removed: Set[int]) -> dict[str, torch.Tensor]:
    """For each layer that loses outputs, a vector with 0 for each output that is removed.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> masks_of(ClusterGraph(network, torch.rand(1, 2)), network, {2})
    {'0': tensor([1., 0., 1.])}
    """
    gone = removed_flags(graph.structure, removed)
    return {
        layer: torch.from_numpy((~gone[clusters]).astype(np.float32))
        for layer, clusters in graph.outputs.items()
        if gone[clusters].any()
    }
