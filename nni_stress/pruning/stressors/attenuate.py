"""Attenuation: weak clusters lose part of their effect."""

from __future__ import annotations

from torch import Tensor

from ..functional import stress
from .base import Situation, Stressor


class Attenuate(Stressor):
    """Multiplies the effect of a cluster by 1 - level (1 - P), with P its survival probability.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.pruning.stressors.base import Situation
    >>> survival = torch.tensor([1.0, 0.5])
    >>> situation = Situation(0.5, 1.0, 10, torch.Generator(), lambda: survival, lambda: None)
    >>> Attenuate().factor(situation)
    tensor([1.0000, 0.7500])
    """

    name = "attenuate"
    steady = True

    def factor(self, situation: Situation) -> Tensor:
        """See :func:`nni_stress.pruning.functional.stress.attenuation`."""
        return stress.attenuation(situation.survival(), situation.level)
