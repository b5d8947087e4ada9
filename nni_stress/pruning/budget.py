"""A budget of resources for a whole network, and the rules by which it is divided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..graph.cluster_graph import ClusterGraph
from ..hparams import check_value
from ..resources import RESOURCES
from ..resources.base import Cost
from . import validation
from .measured_share import MeasuredShare
from .targets import unwrapped_copy

# Several resources become one cost by this norm of used / allowed: none is exceeded, and the one
# that limits the network is used to within 2 %.
NORM = 32
SHOWN = 3  # layers that stand in the way of a budget


@dataclass(frozen=True)
class SharingRules:
    """Rules by which a budget is divided among the layers of a network.

    Parameters
    ----------
    floor
        Least number of clusters (output channels or neurons) of a layer.
    multiple
        Numbers of clusters are multiples of this, where that costs nothing.
    worth
        Worth of the clusters of the first and of the last layers, relative to those in the middle.
        Between, it changes in equal proportions.
    redundancy
        How far the clusters of a layer make up for each other, see
        :func:`nni_stress.pruning.functional.allocation.share`.

    Raises
    ------
    ValueError, TypeError
        If a rule is out of its bounds.

    Examples
    --------
    >>> SharingRules(floor=4).multiple
    1
    """

    floor: int = 1
    multiple: int = 1
    worth: tuple[float, float] = (1.0, 1.0)
    redundancy: float = 8.0

    def __post_init__(self) -> None:
        validation.check_whole(floor=self.floor, multiple=self.multiple)
        validation.check_worth(self.worth)
        check_value("redundancy", self.redundancy)


class Budget:
    """The share of its ancestor's resources that an offspring may use.

    Parameters
    ----------
    network
        The ancestor, before NNI wraps it for the pruner.
    graph
        Its cluster graph.
    shares
        {resource: share}. ``{"macs": 0.4}`` keeps 40 % of the multiply-accumulates,
        ``{"parameters": 0.1, "macs": 0.4}`` keeps to both. A resource that is measured (latency)
        cannot be combined with others.
    rules
        Rules by which it is divided.

    Attributes
    ----------
    graph
        Cluster groups of the ancestor.
    sizes
        Number of clusters of each group.
    cost
        Cost of a network, given the number of clusters each group keeps.
    limit
        Highest cost, in the unit of `cost`.
    measured
        The share of a resource that is measured; None if the budget names none.

    Raises
    ------
    ValueError
        If `shares` is not valid, or the network cannot be followed.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> budget = Budget(network, ClusterGraph(network, torch.rand(1, 4)), {"parameters": 0.5})
    >>> int(budget.cost(budget.sizes)), int(budget.limit)
    (58, 29)
    """

    def __init__(
        self,
        network: nn.Module,
        graph: ClusterGraph | None,
        shares: Mapping[str, float],
        rules: SharingRules | None = None,
    ):
        shares = checked_shares(shares)
        if graph is None:
            raise ValueError("a budget needs example_input, to follow the network, but got none")
        self.rules = rules or SharingRules()
        self.graph = graph
        self._shares = shares
        self._network = network
        self.sizes = [group.clusters for group in self.graph.groups]
        self.measured: MeasuredShare | None = None
        if len(shares) > 1:
            self.cost = _combined_cost(self.graph, network, self.sizes, shares)
            self.limit = 1.0
            return
        ((name, part),) = shares.items()
        resource = RESOURCES[name]
        if resource.measured:
            network = unwrapped_copy(network)
            self.measured = MeasuredShare(resource, part, self.graph, network)
        self.cost = resource.cost(self.graph, network)
        self.limit = part * self.cost(self.sizes)

    def in_the_way(self, keep: Sequence[int]) -> str:
        """What a network costs, resource by resource, and the layers that cost the most.

        Parameters
        ----------
        keep
            How many clusters each group keeps.

        Examples
        --------
        >>> import torch
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> budget = Budget(network, ClusterGraph(network, torch.rand(1, 4)), {"parameters": 0.1})
        >>> budget.in_the_way([1])
        '9 synapses where 6 are allowed, of which 5 synapses in 0, 4 synapses in 2'
        """
        found = []
        network = unwrapped_copy(self._network)
        for name, share in self._shares.items():
            resource = RESOURCES[name]
            costs = resource.by_layer(self.graph, network)
            least = costs(keep)
            allowed = share * sum(costs(self.sizes).values())
            if sum(least.values()) <= allowed:
                continue
            worst = sorted(least, key=least.__getitem__, reverse=True)[:SHOWN]
            layers = ", ".join(f"{resource.text(least[layer])} in {layer}" for layer in worst)
            total = resource.text(sum(least.values()))
            limit = resource.text(allowed).partition(" ")[0]
            found.append(f"{total} where {limit} are allowed, of which {layers}")
        return "; ".join(found)


def checked_shares(budget: Any) -> dict[str, float]:
    """Check a budget {resource: share}.

    Raises
    ------
    ValueError
        If it is no such mapping, names an unknown resource, has a share outside (0, 1], or combines
        a measured resource with others.

    Examples
    --------
    >>> checked_shares({"macs": 0.4})
    {'macs': 0.4}
    """
    if not isinstance(budget, Mapping) or not budget or not set(budget) <= set(RESOURCES):
        raise ValueError(
            f"budget must be {{resource: share}} with resources of {', '.join(RESOURCES)}, but got "
            f"{budget!r}"
        )
    for name, part in budget.items():
        if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 < part <= 1:
            raise ValueError(f"a budget must be a share in (0, 1], but got {part!r} of {name}")
        if RESOURCES[name].measured and len(budget) > 1:
            raise ValueError(
                f"a budget of {name} stands alone, as it is measured, but got {budget!r}"
            )
    return dict(budget)


def _combined_cost(
    graph: ClusterGraph, network: nn.Module, sizes: list[int], shares: Mapping[str, float]
) -> Cost:
    """One cost of several resources: at most 1 where no share is exceeded."""
    parts = []
    for name, part in shares.items():
        cost = RESOURCES[name].cost(graph, network)
        parts.append((cost, part * cost(sizes)))
    return lambda keep: sum((cost(keep) / allowed) ** NORM for cost, allowed in parts) ** (1 / NORM)
