"""Groups of clusters (output channels or neurons) that must be removed together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from .label_propagation import LabelPropagation, WeightedLayer, depthwise


class Group(NamedTuple):
    """Layers whose clusters correspond: cluster i of one goes with cluster i of every other.

    Parameters
    ----------
    clusters
        Number of clusters.
    layers
        Names of the layers, sorted.
    blocks
        The clusters are divided into this many equal parts, and each part must lose the same number
        (1 except for grouped convolutions and the layers that feed them).
    frozen
        Whether all clusters must stay.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.graph.cluster_graph import ClusterGraph
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 1, groups=2))
    >>> ClusterGraph(network, torch.rand(1, 3, 5, 5)).groups[0]
    Group(clusters=4, layers=('0',), blocks=2, frozen=False)
    """

    clusters: int
    layers: tuple[str, ...]
    blocks: int
    frozen: bool


class _LayerClusters(NamedTuple):
    name: str
    module: WeightedLayer
    clusters: list[int]  # of each output channel


def find_groups(labels: LabelPropagation) -> tuple[list[Group], list[list[int]]]:
    """Find out which clusters must be removed together.

    Parameters
    ----------
    labels
        The labels of a network that has been followed.

    Returns
    -------
    groups : list of Group
        Every layer with weights is in exactly one group.
    clusters : list of list of int
        The numbers of each group's clusters, in the order of the layers' channels.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> labels = LabelPropagation(torch.fx.symbolic_trace(network), batch=1)
    >>> labels.follow(torch.rand(1, 2))
    >>> groups, clusters = find_groups(labels)
    >>> groups[0]
    Group(clusters=3, layers=('0',), blocks=1, frozen=False)
    >>> clusters
    [[1, 2, 3], [4]]
    """
    layers = [
        _LayerClusters(name, layer.module, roots_of(layer.outputs, labels))
        for name, layer in labels.layers.items()
    ]
    frozen = {labels.root(label) for label in labels.frozen}
    groups = []
    clusters = []
    for component in _connected(layers):
        group, cluster_numbers = _group_of(component, frozen)
        groups.append(group)
        clusters.append(cluster_numbers)
    index_of = group_indices(clusters)
    for layer in labels.layers.values():
        blocks = _blocks(layer.module)
        if blocks > 1:  # each block of a grouped convolution needs the same number of inputs, too
            inputs = roots_of(layer.inputs, labels)
            for index in {index_of[cluster] for cluster in inputs if cluster in index_of}:
                first = labels.layers[groups[index].layers[0]]
                in_order = roots_of(first.outputs, labels) == inputs
                groups[index] = _divided(groups[index], blocks, in_order)
    return groups, clusters


def reasons_to_stay(
    labels: LabelPropagation, groups: Iterable[Group], clusters: Iterable[Iterable[int]]
) -> dict[str, str]:
    """Why clusters must stay, for each layer whose clusters must.

    Parameters
    ----------
    labels
        The labels of a network that has been followed.
    groups, clusters
        As `find_groups` returns them.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> labels = LabelPropagation(torch.fx.symbolic_trace(network), batch=1)
    >>> labels.follow(torch.rand(1, 2))
    >>> reasons_to_stay(labels, *find_groups(labels))
    {'2': "reaches the network's output"}
    """
    known = {labels.root(label): reason for label, reason in reversed(labels.reasons.items())}
    known.update((labels.root(label), labels.reasons[label]) for label in labels.outputs)
    reasons = {}
    for group, numbers in zip(groups, clusters):
        if group.frozen:
            found = [known[cluster] for cluster in numbers if cluster in known]
            reason = found[0] if found else "goes with clusters that do not correspond one to one"
            reasons.update(dict.fromkeys(group.layers, reason))
    return reasons


def group_indices(clusters: Iterable[Iterable[int]]) -> dict[int, int]:
    """Index of the group that each cluster is in.

    Examples
    --------
    >>> group_indices([[1, 2], [4]])
    {1: 0, 2: 0, 4: 1}
    """
    return {cluster: index for index, numbers in enumerate(clusters) for cluster in numbers}


def roots_of(ids: Tensor, labels: LabelPropagation) -> list[int]:
    """The clusters that a tensor of labels stands for, tied labels being the same cluster.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> labels = LabelPropagation(torch.fx.symbolic_trace(network), batch=1)
    >>> labels.follow(torch.rand(1, 2))
    >>> roots_of(labels.layers["2"].inputs, labels)
    [1, 2, 3]
    """
    return [labels.root(label) for label in ids.tolist()]


def _connected(layers: Iterable[_LayerClusters]) -> list[list[_LayerClusters]]:
    """Parts of the network that are connected by common clusters."""
    owner: dict[int, int] = {}  # {cluster: index of its component}
    components: list[list[_LayerClusters]] = []
    for layer in layers:
        merged = [layer]
        for index in sorted({owner[cluster] for cluster in layer.clusters if cluster in owner}):
            merged += components[index]
            components[index] = []
        for member in merged:
            owner.update(dict.fromkeys(member.clusters, len(components)))
        components.append(merged)
    return [component[::-1] for component in components if component]


def _group_of(component: list[_LayerClusters], frozen: set[int]) -> tuple[Group, list[int]]:
    first = component[0].clusters
    corresponding = len(set(first)) == len(first) and all(
        layer.clusters == first for layer in component
    )
    clusters = list(dict.fromkeys(cluster for layer in component for cluster in layer.clusters))
    blocks = math.lcm(*(_blocks(layer.module) for layer in component))
    must_stay = not corresponding or not frozen.isdisjoint(clusters) or len(first) % blocks > 0
    names = tuple(sorted(layer.name for layer in component))
    return Group(len(clusters), names, blocks, must_stay), clusters


def _divided(group: Group, parts: int, in_order: bool) -> Group:
    """The group with at least so many blocks; frozen if its clusters cannot be divided so."""
    blocks = math.lcm(group.blocks, parts)
    if in_order and group.clusters % blocks == 0:
        return group._replace(blocks=blocks)
    return group._replace(frozen=True)


def _blocks(module: WeightedLayer) -> int:
    """Number of groups of a grouped convolution; 1 for all other layers."""
    return 1 if isinstance(module, nn.Linear) or depthwise(module) else module.groups
