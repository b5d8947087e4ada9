"""Survival: every step draws a network as evolutionary synthesis draws an offspring."""

from __future__ import annotations

from torch import Tensor

from ..functional import stress
from .base import Situation, Stressor


class Survival(Stressor):
    """Lets a cluster be present with probability 1 - level (1 - F P), P its survival probability.

    The literal reading of the family's probability model: stress is an environmental factor F on
    survival probabilities, see :func:`nni_stress.pruning.functional.stress.presence`.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.pruning.stressors.base import Coming, Situation
    >>> survival = torch.tensor([0.0, 1.0, 0.0])
    >>> coming = Coming(rank=torch.tensor([1, 0, 2]), survivors=1, present=3)
    >>> situation = Situation(1.0, 1.0, 10, torch.Generator(), lambda: survival, lambda: coming)
    >>> Survival().factor(situation)
    tensor([0., 1., 0.])
    """

    name = "survival"

    def factor(self, situation: Situation) -> Tensor:
        """See :func:`nni_stress.pruning.functional.stress.survival_draw`."""
        coming = situation.coming()
        there = coming.rank < coming.present
        return stress.survival_draw(
            situation.survival(), there, coming.survivors, situation.level, situation.generator
        )
