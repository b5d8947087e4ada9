"""Stress-induced evolutionary synthesis of deep networks for Microsoft NNI.

Importing this package mends NNI 3.0 on today's PyTorch (see :mod:`nni_stress.nni_compat.patches`). It imports neither torch nor
NNI's compression until a name that needs them is asked for, so that the tuner starts in time.
"""

import importlib

from .nni_compat import patches

patches.install()

_HOMES = {
    "StressPruner": "pruning.pruner",
    "StressTuner": "evolution.tuner",
    "Arguments": "hparams",
    "PrunerArguments": "hparams",
    "Screen": "pruning.screening",
    "Task": "trial.task",
    "FusedAdam": "trial.task",
    "run_trial": "trial.run",
    "save": "graph.serialization",
    "load": "graph.serialization",
    "export_onnx": "graph.onnx",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__():
    return sorted([*globals(), *_HOMES])
