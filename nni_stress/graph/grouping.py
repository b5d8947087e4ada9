"""Groups of clusters (output channels, neurons, heads, ...) that are alike, with their layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from .clusters import Alike
from .following.structure import Structure

_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


class Group(NamedTuple):
    """Clusters that appear in the same layers, and any number of which can be removed.

    Parameters
    ----------
    clusters
        Number of clusters.
    layers
        Names of the layers whose outputs they are, sorted. Empty where they are the outputs of no
        single layer, as the heads of ``nn.MultiheadAttention``.
    blocks
        The clusters are divided into this many equal parts, and each part must lose the same number
        (1 except for grouped convolutions and the layers that feed them).

    Examples
    --------
    >>> import torch
    >>> from nni_stress.graph.cluster_graph import ClusterGraph
    >>> layers = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(8, 1, 1)
    >>> network = nn.Sequential(*layers)
    >>> ClusterGraph(network, torch.rand(1, 3, 5, 5)).groups[0]
    Group(clusters=4, layers=('0',), blocks=2)
    """

    clusters: int
    layers: tuple[str, ...]
    blocks: int


def output_dim(layer: nn.Module) -> int | None:
    """The dimension of a layer's weight that its outputs go by; None if it is no such layer.

    Examples
    --------
    >>> output_dim(nn.Linear(2, 3)), output_dim(nn.ConvTranspose2d(2, 3, 1))
    (0, 1)
    >>> output_dim(nn.ReLU()) is None
    True
    """
    if isinstance(layer, _ConvTransposeNd):
        return 1 if layer.groups == 1 else None
    if isinstance(layer, (nn.Linear, nn.Bilinear, _ConvNd)):
        return 0
    if isinstance(layer, _EMBEDDINGS) or type(layer).__name__ == "Conv1D":  # of transformers
        return 1
    return None


def weight_of(layer: str) -> str:
    """Name of a layer's weight; the network itself, which may be a layer, has an empty name.

    Examples
    --------
    >>> weight_of("fc"), weight_of("")
    ('fc.weight', 'weight')
    """
    return f"{layer}.weight" if layer else "weight"


def must_be_named(layer: nn.Module) -> bool:
    """Whether a config list has to name a layer before it may lose outputs.

    Embeddings go with the layers that they meet.

    Examples
    --------
    >>> must_be_named(nn.Linear(2, 3)), must_be_named(nn.Embedding(2, 3))
    (True, False)
    """
    return output_dim(layer) is not None and not isinstance(layer, _EMBEDDINGS)


def find_groups(
    structure: Structure, sets: Iterable[Alike], dims: Mapping[str, int]
) -> tuple[list[Group], list[list[int]]]:
    """Find out which clusters can be removed, and which layers they are outputs of.

    Parameters
    ----------
    structure
        The structure of a network.
    sets
        Its sets of alike clusters.
    dims
        For each layer, in the order in which the network calls them, the dimension of its weight
        that its outputs go by.

    Returns
    -------
    groups : list of Group
        In the order of the calls of their last layers.
    clusters : list of list of int
        The numbers of each group's clusters, in the order of the layers' outputs.
    """
    index_of = {
        name: index for index, tensor in enumerate(structure.tensors) for name in tensor.names
    }
    places = {layer: (index_of[weight_of(layer)], dim) for layer, dim in dims.items()}
    order = {layer: position for position, layer in enumerate(dims)}
    found = []
    for alike in sets:
        layers = [layer for layer, place in places.items() if place in alike.places]
        position = max((order[layer] for layer in layers), default=len(order))
        group = Group(len(alike.clusters), tuple(sorted(layers)), alike.blocks)
        found.append((position, group, alike.clusters))
    found.sort(key=lambda item: item[0])
    return [group for _, group, _ in found], [clusters for _, _, clusters in found]


def group_indices(clusters: Iterable[Iterable[int]]) -> dict[int, int]:
    """Index of the group that each cluster is in.

    Examples
    --------
    >>> group_indices([[1, 2], [4]])
    {1: 0, 2: 0, 4: 1}
    """
    return {cluster: index for index, numbers in enumerate(clusters) for cluster in numbers}
