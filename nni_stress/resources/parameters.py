"""Parameters as a resource: the number of synapses (weights and biases)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Cost, LayerCosts, NetworkRecord, Resource

if TYPE_CHECKING:
    from torch import nn

    from ..graph.cluster_graph import ClusterGraph


class Parameters(Resource):
    """Number of synapses of a network.

    Examples
    --------
    >>> from torch import nn
    >>> Parameters().measure(nn.Linear(3, 1), nn.Linear(3, 4), None)
    0.25
    """

    name = "parameters"
    unit = "synapses"

    def used(self, record: NetworkRecord, founder: NetworkRecord) -> float:
        """Share of the founder's synapses that a network has."""
        return record.synapses / founder.synapses

    def cost(self, graph: ClusterGraph, network: nn.Module) -> Cost:
        """Number of synapses by the numbers of clusters kept."""
        return graph.parameters

    def by_layer(self, graph: ClusterGraph, network: nn.Module) -> LayerCosts:
        """Number of synapses of each layer, by the numbers of clusters kept."""
        return graph.costs.parameters

    def measure(self, network: nn.Module, whole: nn.Module, example_input: Any) -> float:
        """Share of the whole network's synapses that a network has."""
        from ..graph import cost

        return cost.synapses(network) / cost.synapses(whole)
