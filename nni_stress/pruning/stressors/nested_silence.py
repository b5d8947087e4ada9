"""Nested silence: at random steps, only the strongest clusters are active."""

from __future__ import annotations

from torch import Tensor

from ..functional import stress
from .base import Situation, Stressor


class NestedSilence(Stressor):
    """Silences all but a random number of the strongest clusters.

    The number lies between a part of what will survive and all, as far as the width allows.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.pruning.stressors.base import Coming, Situation
    >>> coming = Coming(rank=torch.tensor([1, 0, 2]), survivors=2, present=3)
    >>> situation = Situation(1.0, 0.0, 10, torch.Generator(), lambda: None, lambda: coming)
    >>> NestedSilence().factor(situation)
    tensor([1., 1., 0.])
    """

    name = "nested_silence"

    def factor(self, situation: Situation) -> Tensor:
        """See :func:`nni_stress.pruning.functional.stress.nested_silence`."""
        coming = situation.coming()
        return stress.nested_silence(
            coming.rank,
            coming.survivors,
            coming.present,
            situation.level,
            situation.width,
            situation.generator,
        )
