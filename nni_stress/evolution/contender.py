"""What selection compares: networks with a fidelity and a cost.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..resources.base import NetworkRecord


class Contender(NetworkRecord, Protocol):
    """What selection needs to know of a network. A `Record` is one, and a `Candidate`."""

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
    def matured(self) -> bool:
        """Whether it is its ancestor after a maturation."""


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
    matured: bool = False
