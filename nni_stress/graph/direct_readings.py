"""Clusters of which more is read than what layers read."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .cluster_graph import ClusterGraph
from .verification import differs, guilty_of, halves, masked_answer


def read_directly(network: nn.Module, graph: ClusterGraph) -> set[int]:
    """Clusters for which factors where layers read them are not enough.

    Features that a layer reads and that are multiplied with other features besides, for example.
    Half of all groups is silenced so, and the output compared with that of the masked network.
    Where it is wrong, the groups to blame are found by halving.

    Parameters
    ----------
    network
        The network of the graph, not wrapped.
    graph
        Its cluster graph.

    Returns
    -------
    set of int
        For :class:`nni_stress.graph.cluster_factors.ClusterFactors`.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> read_directly(network, ClusterGraph(network, torch.rand(1, 4)))
    set()
    """
    structure = graph.structure

    def problem_of(sets: Sequence[Sequence[int]]) -> str | None:
        silent = {cluster for half in sets for cluster in half}
        expected, found = (
            masked_answer(network, structure, silent, graph.inputs, directly)
            for directly in (None, ())
        )
        return differs(network, expected, found)

    groups = [(own, group.blocks) for own, group in zip(graph.clusters, graph.groups)]
    sets = [half for half in halves(groups) if half]
    if not sets or problem_of(sets) is None:
        return set()
    guilty = {half[0] for half in guilty_of(sets, problem_of)}
    return {cluster for own in graph.clusters if guilty.intersection(own) for cluster in own}
