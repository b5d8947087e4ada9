"""Slice a network's tensors down to the clusters (output channels or neurons) that survive.

NNI's ModelSpeedup finds out which channels go together by running the network on random numbers,
forwards and backwards. A ClusterGraph knows them already, so that slicing takes a fraction of the
time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import TypeAlias

import torch
from torch import nn

from .cluster_graph import ClusterGraph
from .label_propagation import FIXED, Convolution, depthwise

Masks: TypeAlias = Mapping[str, Mapping[str, torch.Tensor | None]]
Slice: TypeAlias = Callable[[torch.Tensor], torch.Tensor]

# Attributes that hold numbers of channels, and whether they count outputs (0) or inputs (1).
_COUNTS = {
    "in_features": 1,
    "out_features": 0,
    "in_channels": 1,
    "out_channels": 0,
    "num_features": 0,
}


def survivors(graph: ClusterGraph, masks: Masks) -> set[int] | None:
    """The clusters that masks leave, provided that the masks remove only whole clusters.

    A cluster shared by several layers stays if any of them keeps it.

    Parameters
    ----------
    graph
        The cluster graph of the masked network.
    masks
        ``{layer: {target: tensor of 0 and 1}}``, as a pruner's ``compress`` returns them.

    Returns
    -------
    set of int or None
        The surviving clusters by the graph's numbers. None if the masks remove anything but whole
        clusters, a cluster that must stay, all clusters of a layer, or unequal numbers of clusters
        from the blocks of a grouped convolution.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> graph = ClusterGraph(network, torch.rand(1, 2))
    >>> graph.slots["0"].outputs
    [1, 2, 3]
    >>> mask = torch.tensor([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    >>> sorted(survivors(graph, {"0": {"weight": mask}}))
    [0, 1, 3, 4]
    """
    removed_rows = _removed_rows_of_layers(graph, masks)
    if removed_rows is None:
        return None
    removed = _removed_everywhere(graph, removed_rows)
    clusters = {cluster for numbers in graph.clusters for cluster in numbers}
    alive = (clusters - removed) | {FIXED}
    hits_frozen = any(
        group.frozen and not removed.isdisjoint(numbers)
        for group, numbers in zip(graph.groups, graph.clusters)
    )
    empties_layer = any(alive.isdisjoint(slots.outputs) for slots in graph.slots.values())
    if hits_frozen or empties_layer or not removed <= clusters:
        return None
    return alive if balanced(graph, alive) == alive else None


def keep_outputs(graph: ClusterGraph, masks: Masks) -> tuple[Masks, list[str]]:
    """Masks that keep all clusters that reach the network's output.

    Parameters
    ----------
    graph
        The cluster graph of the masked network.
    masks
        ``{layer: {target: tensor of 0 and 1}}``.

    Returns
    -------
    masks : dict
        The same masks, but for layers of which whole clusters of the output were removed.
    layers : list of str
        The names of these layers.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 2))
    >>> masks, layers = keep_outputs(graph, {"2": {"bias": torch.tensor([1.0, 0.0])}})
    >>> masks["2"]["bias"], layers
    (tensor([1., 1.]), ['2'])
    """
    kept: dict[str, Mapping[str, torch.Tensor | None]] = dict(masks)
    changed = []
    for layer in sorted(set(masks) & set(graph.slots)):
        outputs = torch.tensor([c in graph.outputs for c in graph.slots[layer].outputs])
        targets = {
            name: None if mask is None else _with_rows(mask, outputs)
            for name, mask in masks[layer].items()
            if name in ("weight", "bias")
        }
        if any(mask is not masks[layer][name] for name, mask in targets.items()):
            kept[layer] = {**masks[layer], **targets}
            changed.append(layer)
    return kept, changed


def _with_rows(mask: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The mask, with those of these rows that it removes as a whole; the mask itself if none."""
    if mask.dim() == 0:
        return mask
    removed = rows.to(mask.device) & ~mask.reshape(len(mask), -1).bool().any(1)
    if not removed.any():
        return mask
    mask = mask.clone()
    mask[removed] = 1
    return mask


def _removed_rows_of_layers(graph: ClusterGraph, masks: Masks) -> dict[str, torch.Tensor] | None:
    """For each layer that loses clusters, whether each of its outputs is removed.

    None if the masks remove anything but whole clusters.
    """
    removed_rows = {}
    for layer, targets in masks.items():
        removed = {}
        for target, mask in targets.items():
            if mask is not None:
                rows = _removed_rows(mask)
                if rows is None:
                    return None
                removed[target] = rows
        if not any(rows.any() for rows in removed.values()):
            continue
        weight_rows = removed.get("weight")
        if layer not in graph.slots or weight_rows is None or set(removed) - {"weight", "bias"}:
            return None
        if not torch.equal(removed.get("bias", weight_rows), weight_rows):
            return None
        removed_rows[layer] = weight_rows
    return removed_rows


def _removed_rows(mask: torch.Tensor) -> torch.Tensor | None:
    """Whether each row of a mask is removed; None if rows are removed in part."""
    if mask.dim() == 0:
        return None
    kept = mask.reshape(len(mask), -1).bool()
    kept_whole = kept.all(1)
    return None if (kept.any(1) != kept_whole).any() else ~kept_whole


def _removed_everywhere(graph: ClusterGraph, removed_rows: Mapping[str, torch.Tensor]) -> set[int]:
    """The clusters that every layer which has them removes."""
    removed: set[int] = set()
    kept: set[int] = set()
    for layer, slots in graph.slots.items():
        rows = removed_rows.get(layer)
        flags = [False] * len(slots.outputs) if rows is None else rows.tolist()
        for cluster, is_removed in zip(slots.outputs, flags):
            (removed if is_removed else kept).add(cluster)
    return removed - kept


def balanced(graph: ClusterGraph, alive: Set[int]) -> set[int]:
    """Bring clusters back until all blocks of a grouped convolution have the same number.

    Parameters
    ----------
    graph
        The cluster graph.
    alive
        The clusters that stay.

    Returns
    -------
    set of int
        The same clusters and, in each block that lost more than another, the first lost ones.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv1d(1, 4, 1), nn.Conv1d(4, 2, 1, groups=2))
    >>> graph = ClusterGraph(network, torch.rand(1, 1, 5))
    >>> graph.clusters[0], graph.groups[0].blocks
    ([1, 2, 3, 4], 2)
    >>> balanced(graph, {1, 2, 4})
    {1, 2, 3, 4}
    """
    result = set(alive)
    for group, clusters in zip(graph.groups, graph.clusters):
        if group.frozen or group.blocks == 1:
            continue
        size = len(clusters) // group.blocks
        lost = [
            [cluster for cluster in clusters[start : start + size] if cluster not in result]
            for start in range(0, len(clusters), size)
        ]
        fewest = min(map(len, lost))
        for block in lost:
            result.update(block[: len(block) - fewest])
    return result


def cut(
    network: nn.Module,
    graph: ClusterGraph,
    alive: Set[int],
    replaced: Callable[[nn.Parameter, nn.Parameter, Slice], None],
) -> None:
    """Make a network small, in place. Layers that lose nothing are left alone.

    Parameters
    ----------
    network
        The network that the graph was made of.
    graph
        Its cluster graph.
    alive
        The clusters that stay.
    replaced
        Called for every parameter that is replaced, with the old parameter, the new one, and the
        function that slices any tensor of the old shape as the parameter was sliced.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> graph = ClusterGraph(network, torch.rand(1, 2))
    >>> cut(network, graph, {FIXED, 1, 3, 4}, lambda old, new, slice_as: None)
    >>> network
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
    )
    """
    for name, (outputs, inputs) in graph.slots.items():
        layer = network.get_submodule(name)
        rows = _kept(outputs, alive)
        kept_inputs = _kept(inputs, alive)
        counts = (len(rows), len(kept_inputs))
        if counts == (len(outputs), len(inputs)):
            continue  # so that weights that two layers share stay shared
        columns = _columns(layer, kept_inputs, len(inputs))
        _cut_layer(layer, rows, columns, counts, replaced)
    for name, clusters in graph.norm_slots.items():
        rows = _kept(clusters, alive)
        if len(rows) < len(clusters):
            norm = network.get_submodule(name)
            _cut_layer(norm, rows, None, (len(rows), len(rows)), replaced)


def _kept(clusters: list[int], alive: Set[int]) -> torch.Tensor:
    return torch.tensor([index for index, cluster in enumerate(clusters) if cluster in alive])


def _columns(layer: nn.Module, kept_inputs: torch.Tensor, inputs: int) -> torch.Tensor | None:
    """Columns of the weight that stay, for each block of a grouped convolution a row of them.

    None for a depthwise convolution, whose weight has a single column.
    """
    if not isinstance(layer, Convolution) or layer.groups == 1:
        return kept_inputs
    if depthwise(layer):
        return None
    starts = torch.arange(layer.groups)[:, None] * (inputs // layer.groups)
    return kept_inputs.view(layer.groups, -1) - starts


def _cut_layer(
    layer: nn.Module,
    rows: torch.Tensor,
    columns: torch.Tensor | None,
    counts: tuple[int, int],
    replaced: Callable[[nn.Parameter, nn.Parameter, Slice], None],
) -> None:
    def slice_as(tensor: torch.Tensor) -> torch.Tensor:
        return _sliced(tensor, rows, columns)

    if isinstance(layer, Convolution) and depthwise(layer):
        layer.groups = len(rows)
    for attribute, dim in _COUNTS.items():
        if hasattr(layer, attribute):
            setattr(layer, attribute, counts[dim])
    parameters = list(layer.named_parameters(recurse=False))
    buffers = list(layer.named_buffers(recurse=False))
    for name, old in parameters:
        if old.dim() > 0:
            new = nn.Parameter(slice_as(old.detach()), requires_grad=old.requires_grad)
            setattr(layer, name, new)
            replaced(old, new, slice_as)
    for name, buffer in buffers:
        if buffer.dim() > 0:
            setattr(layer, name, slice_as(buffer.detach()))


def _sliced(tensor: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor | None) -> torch.Tensor:
    """The rows of a tensor and, of a weight, the columns: for all rows the same or by block."""
    result = tensor.index_select(0, rows.to(tensor.device))
    if columns is None or tensor.dim() < 2:
        return result
    columns = columns.to(tensor.device)
    if columns.dim() == 1:
        return result.index_select(1, columns)
    blocks = zip(result.tensor_split(len(columns)), columns)
    return torch.cat([block.index_select(1, block_columns) for block, block_columns in blocks])
