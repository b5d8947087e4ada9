"""Weakening: the weights that read weak clusters decay."""

from __future__ import annotations

from torch import Tensor

from ..functional import stress
from .base import Situation, Stressor


class Weaken(Stressor):
    """Multiplies the weights that read a weak cluster by a factor at every step.

    Under full stress, 1 % of the weights that read a cluster with P = 0 is left at the end.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.pruning.stressors.base import Situation
    >>> survival = torch.tensor([1.0, 0.5])
    >>> situation = Situation(1.0, 1.0, 1, torch.Generator(), lambda: survival, lambda: None)
    >>> Weaken().factor(situation)
    tensor([1.0000, 0.1000])
    """

    name = "weaken"
    decays = True

    def factor(self, situation: Situation) -> Tensor:
        """See :func:`nni_stress.pruning.functional.stress.weakening`."""
        return stress.weakening(situation.survival(), situation.level, situation.total_steps)
