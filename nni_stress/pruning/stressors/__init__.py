"""Stressors, by name: how synapses (weights) feel stress.

A new stressor NAME is one file here, NAME.py, with a subclass of
:class:`~nni_stress.pruning.stressors.base.Stressor`, and its name in
:data:`nni_stress.hparams.STRESSORS`, which is read without torch.
"""

from __future__ import annotations

from ... import hparams
from ...utils.registry import Registry, load_entries
from .base import Stressor

STRESSORS: Registry[Stressor] = Registry(
    "stressor",
    "register_stressor",
    load_entries(
        __name__,
        hparams.STRESSORS,
        Stressor,  # type: ignore[type-abstract]
    ),
)
