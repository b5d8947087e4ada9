"""A budget of a measured resource: what a network uses of it, and which comes nearest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import nn

from ..graph.cluster_graph import ClusterGraph
from ..resources.base import Resource
from .functional.allocation import TOLERANCE, Cost
from .functional.approaching import Best, approach


class Tried(NamedTuple):
    """What was tried.

    Attributes
    ----------
    keep
        How many clusters each group keeps.
    limit
        The limit of the cost at which it does.
    used
        How much of the share it uses, as measured; more than 1 exceeds it.
    """

    keep: list[int]
    limit: float
    used: float


class MeasuredShare:
    """The share of a measured resource that an offspring may use.

    Parameters
    ----------
    resource
        The resource.
    share
        The share of the ancestor's that may be used.
    graph
        Cluster groups of the ancestor.
    ancestor
        A copy of the ancestor, without wrappers.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.resources import RESOURCES
    >>> ancestor = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = ClusterGraph(ancestor, torch.rand(1, 4))
    >>> MeasuredShare(RESOURCES["parameters"], 0.5, graph, ancestor).used([4])
    1.0344827586206897
    """

    def __init__(
        self, resource: Resource, share: float, graph: ClusterGraph, ancestor: nn.Module
    ) -> None:
        self.name = resource.name
        self.share = share
        self._resource = resource
        self._graph = graph
        self._ancestor = ancestor
        self._known: dict[tuple[int, ...], float] = {}

    def used(self, keep: Sequence[int]) -> float:
        """How much of the share a network uses whose group i keeps the i-th number of clusters.

        A shape is measured once only: limits of the cost that are near each other often give the
        same, and it costs seconds.
        """
        shape = tuple(keep)
        if shape not in self._known:
            network = self._graph.resized(self._ancestor, keep)
            self._known[shape] = share_used(
                self._resource, network, self._ancestor, self._graph.inputs, self.share
            )
        return self._known[shape]

    def nearest(
        self,
        keep_at: Callable[[float], list[int]],
        limit: float,
        cost: Cost,
        smallest: list[int],
    ) -> Tried:
        """Look for the limit of the cost at which a network uses nearly all it may, as measured.

        If even the smallest network uses more, nearly that is enough: more would be lost for
        nothing.

        Parameters
        ----------
        keep_at
            How many clusters each group keeps at a limit of the cost.
        limit
            The limit to begin with.
        cost
            Cost of a network, by the number of clusters that each group keeps.
        smallest
            The least that each group can keep.
        """
        sizes = [group.clusters for group in self._graph.groups]
        full = cost(sizes)
        if limit >= full:
            return Tried(sizes, limit, 1.0)
        least = Tried(smallest, cost(smallest), self.used(smallest))
        allowed = max(1.0, (1 + TOLERANCE) * least.used)
        best: Best[Tried] = Best()
        best.note(least, least.used / allowed)

        def use_at(tried: float) -> float:
            keep = keep_at(tried)
            used = self.used(keep)
            return best.note(Tried(keep, tried, used), used / allowed)

        enough = 1 - TOLERANCE
        fitting = least.limit, least.used / allowed
        exceeding = full, max(1 / (self.share * allowed), 1 + TOLERANCE)
        use = use_at(limit) if limit > least.limit else 0.0
        if use > 1:
            exceeding = limit, use
        elif use > 0:
            fitting = limit, use
        if not enough <= use <= 1:
            approach(use_at, fitting, exceeding, enough)
        assert best.found is not None  # the smallest network, at least
        return best.found


def share_used(
    resource: Resource, network: nn.Module, whole: nn.Module, inputs: Any, share: float
) -> float:
    """How much of a budget a network uses; more than 1 exceeds it.

    What is measured is measured again where it is within the budget, and the larger value taken:
    among several networks, one that is above it would else be chosen for a lucky measurement.

    Parameters
    ----------
    resource, share
        The budget: how much of the whole network's resource may be used.
    network, whole
        The networks.
    inputs
        One batch of inputs for both.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.resources import RESOURCES
    >>> network, whole = nn.Linear(4, 2), nn.Linear(4, 8)
    >>> share_used(RESOURCES["parameters"], network, whole, torch.rand(1, 4), 0.5)
    0.5
    """
    used = resource.measure(network, whole, inputs)
    if resource.measured and used <= share:
        used = max(used, resource.measure(network, whole, inputs))
    return used / share
