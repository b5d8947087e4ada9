"""Values of weights and of layers' outputs, summed or averaged by cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..graph.cluster_graph import ClusterGraph
from ..graph.following.structure import LabelledTensor
from .cluster_values import known_values
from .targets import Masks

Rows = list[tuple[LabelledTensor, int, list[int]]]


def rows_of(graph: ClusterGraph, clusters: Sequence[int]) -> Rows:
    """Weights of two dimensions or more that have some clusters, in the first one where any do.

    Parameters
    ----------
    graph
        The cluster graph of the network.
    clusters
        The clusters, by the graph's numbers.

    Returns
    -------
    list of (LabelledTensor, int, list of int)
        A weight, the dimension that has clusters, and the place among them of each of its entries;
        -1 for entries of others.

    Examples
    --------
    >>> from torch import nn
    >>> graph = ClusterGraph(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))
    >>> [(dim, places) for _, dim, places in rows_of(graph, graph.clusters[0])]
    [(0, [0, 1, 2])]
    """
    position = {cluster: place for place, cluster in enumerate(clusters)}
    found: Rows = []
    for tensor in graph.structure.tensors:
        if len(tensor.dims) < 2 or not tensor.is_parameter:
            continue
        for dim, labels in enumerate(tensor.dims):
            places = [position.get(cluster, -1) for cluster in labels.tolist()]
            if max(places) >= 0:
                found.append((tensor, dim, places))
    first = [row for row in found if row[1] == 0]
    return first or found


def summed(rows: Rows, parameters: Mapping[str, Tensor], size: int) -> Tensor:
    """Sum of the absolute weights of each of `size` clusters, as :func:`rows_of` found them.

    Examples
    --------
    >>> summed([], {}, 2)
    tensor([0., 0.])
    """
    total = torch.zeros(size)
    for tensor, dim, places in rows:
        weight = parameters[tensor.names[0]].detach()
        sums = known_values(weight.movedim(dim, 0).flatten(1).abs().sum(1)).float().cpu()
        add_at(total, torch.tensor(places), sums)
    return total


def on_cpu(values: Mapping[str, Tensor]) -> Masks:
    """Values of layers in the CPU's memory; a GPU is waited for once, not for each.

    Examples
    --------
    >>> on_cpu({"conv": torch.ones(2, 1)})
    {'conv': {'weight': tensor([1., 1.])}}
    """
    flat = [value.detach().flatten().float() for value in values.values()]
    if not flat:
        return {}
    parts = torch.cat(flat).cpu().split([len(value) for value in flat])
    return {layer: {"weight": part} for layer, part in zip(values, parts)}


def mean_at(places: Tensor, values: Tensor, size: int) -> Tensor:
    """Mean of values by place; values at -1 are left out.

    Examples
    --------
    >>> mean_at(torch.tensor([1, -1, 1, 0]), torch.tensor([1.0, 2.0, 3.0, 5.0]), 2)
    tensor([5., 2.])
    """
    total = add_at(torch.zeros(size), places, values)
    return total / add_at(torch.zeros(size), places, torch.ones(len(places)))


def add_at(total: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Add values to a total at their places, in place; values at -1 are left out.

    Examples
    --------
    >>> add_at(torch.zeros(2), torch.tensor([1, -1, 1]), torch.tensor([1.0, 2.0, 3.0]))
    tensor([0., 4.])
    """
    known = places >= 0
    return total.index_add_(0, places[known], values[known])
