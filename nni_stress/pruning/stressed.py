"""The interface of what feels stress: NNI's targets, or the clusters of a whole network."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from .sampler import Offspring
from .stressors.base import Coming
from .targets import Masks

Ranks: TypeAlias = dict[Hashable, Coming]
"""{unit: its clusters as the coming offspring will have them}"""


class Stressed(Protocol):
    """Units of a network, each of which feels stress that is drawn once for all of its clusters.

    A unit is a layer, layers that lose the same clusters, or a group of clusters.

    Attributes
    ----------
    modules
        For each unit, the modules whose settings apply to it.
    """

    modules: dict[Hashable, tuple[str, ...]]

    def start(self) -> None:
        """Get ready, before the first step."""

    def strengths(self, observed: Masks) -> Mapping[Hashable, Tensor]:
        """Strength of each cluster of a unit."""

    def ranks(self, offspring: Offspring) -> Ranks:
        """Ranks and numbers of clusters by the coming offspring."""

    def put_on(self, factors: Mapping[Hashable, Tensor | None]) -> None:
        """Apply factors of the clusters of some units; None for no stress.

        Parameters
        ----------
        factors
            Factors in [0, 1].
        """

    def felt(self) -> Masks:
        """Factors of clusters at present, of those targets whose masks do not show them."""

    def decay(self, factors: Mapping[Hashable, Tensor]) -> None:
        """Multiply weights by factors, for good."""

    def take_off(self) -> None:
        """Let the network compute without stress."""

    def state(self) -> Any:
        """What is applied at present."""

    def restore(self, state: Any) -> None:
        """Apply what `state` returned."""


def in_several_processes() -> bool:
    """Whether the training is distributed over processes.

    Examples
    --------
    >>> in_several_processes()
    False
    """
    return torch.distributed.is_available() and torch.distributed.is_initialized()
