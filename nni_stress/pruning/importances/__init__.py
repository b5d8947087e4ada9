"""Importances, by name: what makes a cluster (output channel or neuron) strong.

A new importance NAME is one file here, NAME.py, with a subclass of
:class:`~nni_stress.pruning.importances.base.Importance`, and its name in
:data:`nni_stress.hparams.STRENGTHS`, which is read without torch.
"""

from __future__ import annotations

from ... import hparams
from ...utils.registry import Registry, load_entries
from .base import Importance

IMPORTANCES: Registry[Importance] = Registry(
    "strength", "register_importance", load_entries(__name__, hparams.STRENGTHS, Importance)
)
