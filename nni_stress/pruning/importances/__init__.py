"""Importances, by name: what makes a cluster (output channel or neuron) strong.

A new importance is one file here, with a subclass of
:class:`~nni_stress.pruning.importances.base.Importance`, and its entry in `IMPORTANCES`. Its name
must also stand in :data:`nni_stress.hparams.STRENGTHS`, which is read without torch.
"""

from __future__ import annotations

from .base import Importance
from .l2 import L2
from .magnitude import Magnitude
from .taylor import Taylor

IMPORTANCES: dict[str, Importance] = {
    importance.name: importance
    for importance in (
        Magnitude(),
        L2(),
        Taylor(),
    )
}
