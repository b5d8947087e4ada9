"""Cuts a network down to the clusters that survive, where its structure is understood: tensor by tensor, in a moment.

NNI's ModelSpeedup finds out what goes together by running the network on random numbers, forwards and backwards. A
ClusterGraph knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .label_propagation import FIXED, depthwise

_COUNTS = {
    "in_features": 1,
    "out_features": 0,
    "in_channels": 1,
    "out_channels": 0,
    "num_features": 0,
}


def survivors(
    graph: ClusterGraph, masks: Mapping[str, Mapping[str, torch.Tensor | None]]
) -> set[int] | None:
    """The clusters that masks leave, if they take nothing but whole clusters. One that a layer of several keeps stays in all.

    Parameters
    ----------
    graph
        The network's.
    masks
        {module: {target: tensor of 0 and 1}}, as a pruner's ``compress`` returns them.

    Returns
    -------
    set or None
        The clusters by the graph's numbers. None where the masks ask for anything else, and where a cluster must stay.
    """
    dead: dict[str, torch.Tensor] = {}  # {layer: whether each of its outputs is gone}
    for layer, targets in masks.items():
        gone = {name: _gone(mask) for name, mask in targets.items() if mask is not None}
        if any(rows is None for rows in gone.values()):
            return None
        if not any(rows.any() for rows in gone.values()):
            continue
        rows = gone.get("weight")
        if (
            layer not in graph.slots
            or rows is None
            or set(gone) - {"weight", "bias"}
            or not torch.equal(gone.get("bias", rows), rows)
        ):
            return None
        dead[layer] = rows
    taken = {
        cluster
        for layer, rows in dead.items()
        for cluster, one in zip(graph.slots[layer][0], rows.tolist())
        if one
    }
    left = {
        cluster
        for layer, (outputs, _) in graph.slots.items()
        for index, cluster in enumerate(outputs)
        if layer not in dead or not dead[layer][index]
    }
    taken -= left
    clusters = {cluster for group in graph.clusters for cluster in group}
    whole = not any(
        group.frozen and taken & set(its) for group, its in zip(graph.groups, graph.clusters)
    )
    alive = (clusters - taken) | {FIXED}
    empty = any(alive.isdisjoint(outputs) for outputs, _ in graph.slots.values())
    return (
        alive
        if whole and not empty and taken <= clusters and balanced(graph, alive) == alive
        else None
    )


def _gone(mask: torch.Tensor) -> torch.Tensor | None:
    """Whether each row of a mask is gone; None where it is more than rows that are gone."""
    if mask.dim() == 0:
        return None
    rows = mask.reshape(len(mask), -1).bool()
    whole = rows.all(1)
    return None if (rows.any(1) != whole).any() else ~whole


def balanced(graph: ClusterGraph, alive: set[int]) -> set[int]:
    """The clusters, and as many more that every block of a grouped convolution has as many."""
    alive = set(alive)
    for group, clusters in zip(graph.groups, graph.clusters):
        size = len(clusters) // group.blocks
        if not group.frozen and group.blocks > 1:
            dead = [
                [cluster for cluster in clusters[start : start + size] if cluster not in alive]
                for start in range(0, len(clusters), size)
            ]
            least = min(map(len, dead))
            alive.update(cluster for block in dead for cluster in block[: len(block) - least])
    return alive


def cut(
    network: nn.Module,
    graph: ClusterGraph,
    alive: set[int],
    replaced: Callable[[nn.Parameter, nn.Parameter, Any], None],
) -> None:
    """Make a network small, in place; layers that lose nothing are left alone.

    Parameters
    ----------
    network
        The graph's network.
    graph
        Its clusters.
    alive
        The clusters that stay.
    replaced
        Called for every parameter that is replaced, with the old one, the new one, and the function that cuts a tensor of
        the old one's shape as it was cut.
    """
    for name, (outputs, inputs) in graph.slots.items():
        layer = network.get_submodule(name)
        rows, columns = _kept(outputs, alive), _kept(inputs, alive)
        counts = [len(rows), len(columns)]
        if counts == [len(outputs), len(inputs)]:
            continue  # its weights stay what they are, another layer's too where they are shared
        blocks = getattr(layer, "groups", 1)
        if depthwise(layer):
            layer.groups, columns = len(rows), None
        elif blocks > 1:
            columns = columns.view(blocks, -1) - torch.arange(blocks)[:, None] * (
                len(inputs) // blocks
            )
        _cut_tensors(layer, rows, columns, counts, replaced)
    for name, clusters in graph.norm_slots.items():
        rows = _kept(clusters, alive)
        if len(rows) < len(clusters):
            _cut_tensors(network.get_submodule(name), rows, None, [len(rows), len(rows)], replaced)


def _kept(clusters: list[int], alive: set[int]) -> torch.Tensor:
    return torch.tensor([index for index, cluster in enumerate(clusters) if cluster in alive])


def _cut_tensors(
    layer: nn.Module, rows: torch.Tensor, columns: torch.Tensor | None, counts: list[int], replaced
) -> None:
    for attribute, dim in _COUNTS.items():
        if hasattr(layer, attribute):
            setattr(layer, attribute, counts[dim])
    for name, tensor in [
        *layer.named_parameters(recurse=False),
        *layer.named_buffers(recurse=False),
    ]:
        if not tensor.dim():
            continue
        small = _small(tensor.detach(), rows, columns)
        if isinstance(tensor, nn.Parameter):
            parameter = nn.Parameter(small, requires_grad=tensor.requires_grad)
            setattr(layer, name, parameter)
            replaced(tensor, parameter, lambda other: _small(other, rows, columns))
        else:
            setattr(layer, name, small)


def _small(tensor: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
    rows = rows.to(tensor.device)
    small = tensor.index_select(0, rows)
    if columns is None or tensor.dim() < 2:
        return small
    if columns.dim() == 1:
        return small.index_select(1, columns.to(tensor.device))
    blocks = zip(
        small.tensor_split(len(columns)), columns.to(tensor.device)
    )  # each block reads its own inputs
    return torch.cat([block.index_select(1, each) for block, each in blocks])
