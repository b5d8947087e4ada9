"""Multiply-accumulates (MACs) as a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Cost, LayerCosts, NetworkRecord, Resource

if TYPE_CHECKING:
    from torch import nn

    from ..graph.cluster_graph import ClusterGraph


class Macs(Resource):
    """Multiply-accumulates of a network for one input.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> Macs().measure(nn.Linear(3, 1), nn.Linear(3, 4), torch.rand(2, 3))
    0.25
    """

    name = "macs"
    unit = "MACs"

    def used(self, record: NetworkRecord, founder: NetworkRecord) -> float:
        """Share of the founder's MACs that a network takes."""
        return record.macs / founder.macs

    def cost(self, graph: ClusterGraph, network: nn.Module) -> Cost:
        """MACs for one input by the numbers of clusters kept."""
        return graph.macs

    def by_layer(self, graph: ClusterGraph, network: nn.Module) -> LayerCosts:
        """MACs of each layer for one input, by the numbers of clusters kept."""
        return graph.costs.macs

    def measure(self, network: nn.Module, whole: nn.Module, example_input: Any) -> float:
        """Share of the whole network's MACs that a network takes, for one input."""
        from ..graph import cost

        return cost.macs(network, example_input) / cost.macs(whole, example_input)
