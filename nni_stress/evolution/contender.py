"""What selection compares: networks with a fidelity and a cost.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Contender(Protocol):
    """What selection needs to know of a network. A `Record` is one, and a `Candidate`."""

    @property
    def uid(self) -> str:
        """Name of the offspring."""

    @property
    def generation(self) -> int:
        """Number of its generation."""

    @property
    def ancestor(self) -> str | None:
        """Name of its ancestor; None for the founder."""

    @property
    def validation(self) -> float:
        """Validation fidelity (accuracy or mAP)."""

    @property
    def synapses(self) -> float:
        """Number of synapses (weights)."""

    @property
    def macs(self) -> float:
        """Number of multiply-accumulate operations for one example."""

    @property
    def latency(self) -> float | None:
        """Latency as a share of the founder's; None if it was not measured."""


@dataclass(frozen=True)
class Candidate:
    """An offspring without a record yet, or one that is only supposed.

    Examples
    --------
    >>> Candidate("g001-00", 1, "g000-00", validation=0.9, synapses=250, macs=2500).latency is None
    True
    """

    uid: str
    generation: int
    ancestor: str | None
    validation: float
    synapses: float
    macs: float
    latency: float | None = None
