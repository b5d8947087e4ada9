"""The interface of a stressor: how synapses (weights) feel stress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor


class Coming(NamedTuple):
    """The clusters of one target as the coming offspring will have them.

    Parameters
    ----------
    rank
        Rank of each cluster (output channel or neuron), 0 for the last one to be removed. Clusters
        that earlier generations removed come last.
    survivors
        Number of clusters that will survive, at least 1.
    present
        Number of clusters that are there now.

    Examples
    --------
    >>> Coming(rank=torch.tensor([1, 0, 2]), survivors=2, present=3).survivors
    2
    """

    rank: Tensor
    survivors: int
    present: int


@dataclass(frozen=True)
class Situation:
    """The clusters of one target at one step of the stress phase.

    What takes time to compute, or draws random numbers, is computed when it is called.

    Parameters
    ----------
    level
        Stress level, in (0, 1].
    width
        Width of the range of nested silence, in [0, 1]: the setting `stress_range`.
    total_steps
        Length of the stress phase in optimizer steps.
    generator
        Generator of every random choice, on the CPU.
    survival
        Returns the survival probability of each cluster.
    coming
        Returns the clusters as the coming offspring will have them.

    Examples
    --------
    >>> survival = torch.tensor([1.0, 0.5])
    >>> coming = Coming(rank=torch.tensor([0, 1]), survivors=1, present=2)
    >>> situation = Situation(0.5, 1.0, 10, torch.Generator(), lambda: survival, lambda: coming)
    >>> situation.coming().survivors
    1
    """

    level: float
    width: float
    total_steps: int
    generator: torch.Generator
    survival: Callable[[], Tensor]
    coming: Callable[[], Coming]


class Stressor(ABC):
    """How synapses feel stress.

    A subclass sets the class attributes and is registered in :mod:`nni_stress.pruning.stressors`.

    Attributes
    ----------
    name
        Name of the stressor in settings.
    decays
        Whether factors multiply the weights that read a cluster at every step, not its effect.
    steady
        Whether the factors stay as they are while the stress level does not change.

    Examples
    --------
    >>> from nni_stress.pruning.stressors import STRESSORS
    >>> STRESSORS["weaken"].decays, STRESSORS["silence"].decays
    (True, False)
    """

    name: ClassVar[str]
    decays: ClassVar[bool] = False
    steady: ClassVar[bool] = False

    @abstractmethod
    def factor(self, situation: Situation) -> Tensor:
        """Factor of each cluster.

        Parameters
        ----------
        situation
            The clusters, and the stress on them.

        Returns
        -------
        Tensor
            Factors in [0, 1], one for each cluster.
        """
