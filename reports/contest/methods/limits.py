"""The budget of a network that is to be pruned, by the numbers of clusters that it keeps."""

from __future__ import annotations

import copy
import math
from typing import Protocol

from nni.compression import pruning
from torch import nn

from nni_stress import Task
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.grouping import Group
from nni_stress.pruning.functional.approaching import Best, approach
from nni_stress.pruning.measured_share import share_used
from nni_stress.resources import RESOURCES

Keep = list[int]  # how many clusters each group of the cluster graph keeps

_HALVINGS = 40  # of the interval of ratios; that is cheap, as no network is made


class Choice(Protocol):
    """Which clusters go first when more and more of them are removed."""

    def keep(self, removed: float) -> Keep:
        """What is kept when a share of the clusters that can go is removed."""

    def returning(self, removed: float) -> list[int]:
        """Groups that may get clusters back, one for each time they are named, in this order."""


class Limit:
    """The budget of a network, by the numbers of clusters that it keeps.

    Parameters
    ----------
    task
        The task, whose config selects layers.
    network
        The network that is to be pruned, without wrappers.
    resource
        "parameters", "macs" or "latency".
    share
        How much of it may be left, as a share of what `whole` uses.
    whole
        The network that the share is of: that to be pruned, or one that it was made from.

    Attributes
    ----------
    graph
        Cluster graph of the network.
    free
        Indices of the groups that may lose clusters.
    """

    def __init__(
        self, task: Task, network: nn.Module, resource: str, share: float, whole: nn.Module
    ) -> None:
        self.graph = ClusterGraph(network, task.example_input)
        self.free = free_groups(self.graph, task, network)
        self._resource = RESOURCES[resource]
        self._share = share
        self._whole = whole
        self._network = copy.deepcopy(network)  # pruners put wrappers around the layers
        self._removed = 0.0  # share of the clusters, as measured last
        if not self._resource.measured:
            self._cost = self._resource.cost(self.graph, self._network)
            present = self._resource.measure(self._network, whole, self.graph.inputs)
            self._allowed = share / present * self._cost(self.sizes)

    @property
    def sizes(self) -> Keep:
        """Number of clusters of each group."""
        return [group.clusters for group in self.graph.groups]

    def met(self, choice: Choice, progress: float = 1.0) -> Keep:
        """Keep as many clusters as the budget allows.

        Clusters go until the budget is met, and those that still fit come back. Where latency is
        measured, none come back, and up to 2 % of the budget are left.

        Parameters
        ----------
        choice
            Which clusters go first.
        progress
            Share of the removal that is to be done now. Before all of it is, latency is measured
            at the first time only.

        Raises
        ------
        ValueError
            If the smallest network uses more.
        """
        if progress == 1:
            return self._measured(choice) if self._resource.measured else self._most(choice)
        if self._resource.measured and not self._removed:
            self._measured(choice)
        removed = self._removed or self._least_removed(choice)
        return choice.keep(progress * removed)

    def _measured(self, choice: Choice) -> Keep:
        """What is kept so that a network of this shape uses nearly all it may, as measured."""
        best: Best[float] = Best()

        def use_at(square: float) -> float:
            removed = 1 - math.sqrt(square)
            small = self.graph.resized(self._network, choice.keep(removed))
            used = share_used(self._resource, small, self._whole, self.graph.inputs, self._share)
            return best.note(removed, used)

        last = use_at(1.0)
        if last > 1:
            # Most layers have inputs and outputs that lose clusters: use goes with their square.
            last = approach(use_at, (0.0, 0.0), (1.0, last))
        if best.found is None:
            raise exceeded(self._resource.name, self._share, last * self._share)
        self._removed = best.found
        return choice.keep(best.found)

    def _most(self, choice: Choice) -> Keep:
        removed = self._least_removed(choice)
        keep = choice.keep(removed)
        growing = set(self.free)
        for index in choice.returning(removed):
            if index not in growing:
                continue
            blocks = self.graph.groups[index].blocks
            keep[index] += blocks
            if keep[index] > self.graph.groups[index].clusters or self._cost(keep) > self._allowed:
                keep[index] -= blocks
                growing.remove(index)
                if not growing:
                    break
        return keep

    def _least_removed(self, choice: Choice) -> float:
        low, high = 0.0, 1.0
        least = self._cost(choice.keep(high))
        if least > self._allowed:
            raise exceeded(self._resource.name, self._share, self._share * least / self._allowed)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self._cost(choice.keep(middle)) > self._allowed:
                low = middle
            else:
                high = middle
        return high


def free_groups(graph: ClusterGraph, task: Task, network: nn.Module) -> list[int]:
    """Indices of the groups of clusters whose layers are all selected by the task's config."""
    named = set(named_layers(task, network))

    def is_free(group: Group) -> bool:
        return bool(group.layers) and set(group.layers) <= named

    return [index for index, group in enumerate(graph.groups) if is_free(group)]


def named_layers(task: Task, network: nn.Module) -> list[str]:
    """Names of the layers that the task's config selects, by NNI's own rules."""
    config = [{**task.clusters, "sparse_ratio": 0.5}]
    pruner = pruning.LevelPruner(copy.deepcopy(network), config)
    return list(pruner._target_spaces)  # noqa: SLF001, NNI has no public way to read them


def exceeded(resource: str, share: float, used: float) -> ValueError:
    """The error that a budget cannot be met.

    Examples
    --------
    >>> print(exceeded("macs", 0.01, 0.025))
    no ratio leaves 0.01 of the macs: 0.025 stays
    """
    return ValueError(f"no ratio leaves {share:.3g} of the {resource}: {used:.3g} stays")
