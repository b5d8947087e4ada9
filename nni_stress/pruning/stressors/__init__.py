"""Stressors, by name: how synapses (weights) feel stress.

A new stressor is one file here, with a subclass of
:class:`~nni_stress.pruning.stressors.base.Stressor`, and its entry in `STRESSORS`. Its name must
also stand in :data:`nni_stress.hparams.STRESSORS`, which is read without torch.
"""

from __future__ import annotations

from .attenuate import Attenuate
from .base import Stressor
from .nested_silence import NestedSilence
from .silence import Silence
from .weaken import Weaken

STRESSORS: dict[str, Stressor] = {
    stressor.name: stressor
    for stressor in (
        Attenuate(),
        Silence(),
        NestedSilence(),
        Weaken(),
    )
}
