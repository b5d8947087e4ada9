"""The interface of a resource that a network uses. Importing it takes neither torch nor NNI."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from torch import nn

    from ..graph.cluster_graph import ClusterGraph

# Cost of a network whose group i keeps the i-th number of clusters. Arrays of numbers, one entry
# for each of several networks, give an array of costs.
Cost = Callable[[Sequence[Any]], Any]

LayerCosts = Callable[[Sequence[Any]], Mapping[str, float]]
"""The same for each layer, by its name."""


class NetworkRecord(Protocol):
    """What a resource reads of a lineage's record of a network."""

    @property
    def uid(self) -> str:
        """Name of the network in its lineage."""

    @property
    def synapses(self) -> float:
        """Number of weights and biases."""

    @property
    def macs(self) -> float:
        """Multiply-accumulates for one input."""

    @property
    def latency(self) -> float | None:
        """Latency as a share of the founder's; None if it was not measured."""


class Resource(ABC):
    """A resource that can be budgeted and saved.

    A subclass sets the class attributes and is registered in :mod:`nni_stress.resources`.

    Attributes
    ----------
    name
        Name of the resource in settings and files.
    unit
        Name of the unit, for people.
    measured
        Whether its cost is measured by running the network. A measured resource cannot be combined
        with other resources in one budget, and a budget of it is corrected by measuring again.

    Examples
    --------
    >>> from nni_stress.resources import RESOURCES
    >>> {resource.name: resource.unit for resource in RESOURCES.values()}
    {'parameters': 'synapses', 'macs': 'MACs', 'latency': 'latency'}
    """

    name: ClassVar[str]
    unit: ClassVar[str]
    measured: ClassVar[bool] = False

    @abstractmethod
    def used(self, record: NetworkRecord, founder: NetworkRecord) -> float:
        """Share of the founder's resource that a network uses, by their records.

        Parameters
        ----------
        record, founder
            Records of the network and of its founder in one lineage.

        Returns
        -------
        float
            The share, above 0.
        """

    @abstractmethod
    def cost(self, graph: ClusterGraph, network: nn.Module) -> Cost:
        """Cost function of the networks that remain when clusters are removed.

        Parameters
        ----------
        graph
            The cluster groups of `network`.
        network
            The network, without wrappers.

        Returns
        -------
        callable
            Cost of a network, given the number of clusters each group keeps.
        """

    @abstractmethod
    def by_layer(self, graph: ClusterGraph, network: nn.Module) -> LayerCosts:
        """Cost function of single layers; arguments and unit are those of :meth:`cost`.

        Returns
        -------
        callable
            {name of the layer: its cost}, given the number of clusters each group keeps.
        """

    def text(self, amount: float) -> str:
        """An amount with its unit, for people."""
        return f"{amount:,.0f} {self.unit}"

    @abstractmethod
    def measure(self, network: nn.Module, whole: nn.Module, example_input: Any) -> float:
        """Share of the resource of a whole network that another network uses.

        Parameters
        ----------
        network, whole
            The networks to compare.
        example_input
            One batch of inputs for both, a tensor or a tuple of tensors.

        Returns
        -------
        float
            The share, above 0.
        """
