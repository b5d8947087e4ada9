"""Silence: weak clusters are silent at random steps."""

from __future__ import annotations

from torch import Tensor

from ..functional import stress
from .base import Situation, Stressor


class Silence(Stressor):
    """Silences each cluster with probability level (1 - P), with P its survival probability.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.pruning.stressors.base import Situation
    >>> survival = torch.tensor([1.0, 0.0])
    >>> situation = Situation(1.0, 1.0, 10, torch.Generator(), lambda: survival, lambda: None)
    >>> Silence().factor(situation)
    tensor([1., 0.])
    """

    name = "silence"

    def factor(self, situation: Situation) -> Tensor:
        """See :func:`nni_stress.pruning.functional.stress.silence`."""
        return stress.silence(situation.survival(), situation.level, situation.generator)
