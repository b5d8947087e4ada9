"""Latency as a resource: the measured time of a forward pass over one batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Cost, LayerCosts, NetworkRecord, Resource

if TYPE_CHECKING:
    from torch import nn

    from ..graph.cluster_graph import ClusterGraph


class Latency(Resource):
    """Time of a forward pass, measured beside the whole network on the device it is on.

    The cost function adds up the latencies of single layers. It ranks clusters by the time they
    take, but does not predict the latency of a network.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(3, 4)
    >>> Latency().measure(network, network, torch.rand(2, 3)) > 0
    True
    """

    name = "latency"
    unit = "latency"
    measured = True

    def used(self, record: NetworkRecord, founder: NetworkRecord) -> float:
        """Share of the founder's latency that was measured for a network; 1 for the founder.

        Raises
        ------
        ValueError
            If the network's latency was not measured.
        """
        if record.uid == founder.uid:
            return 1.0
        if record.latency is None:
            raise ValueError(f"the latency of {record.uid} must be measured, but got none")
        return record.latency

    def cost(self, graph: ClusterGraph, network: nn.Module) -> Cost:
        """Summed latency of the layers, in seconds, by the numbers of clusters kept."""
        by_layer = self.by_layer(graph, network)
        return lambda keep: sum(by_layer(keep).values())

    def by_layer(self, graph: ClusterGraph, network: nn.Module) -> LayerCosts:
        """Latency of each layer, in seconds, measured by itself."""
        from ..graph.latency import layer_latencies

        return layer_latencies(graph, network)

    def text(self, amount: float) -> str:
        """A latency in milliseconds."""
        return f"{1e3 * amount:.3g} ms"

    def measure(self, network: nn.Module, whole: nn.Module, example_input: Any) -> float:
        """Latency of a network as a share of the whole network's, measured in turns with it."""
        from ..graph.latency import ratio
        from ..utils.batches import arguments_of

        return ratio(network, whole, arguments_of(example_input))
