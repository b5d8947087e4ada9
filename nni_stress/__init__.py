"""Stress-induced evolutionary synthesis of deep networks for Microsoft NNI.

Importing this package mends NNI 3.0 on today's PyTorch (see :mod:`nni_stress.repairs`). It imports neither torch nor
NNI's compression until a name that needs them is asked for, so that the tuner starts in time.
"""
import importlib

from . import repairs

repairs.install()

_HOMES = {
    "StressPruner": "pruner",
    "StressTuner": "tuner",
    "Arguments": "arguments",
    "PrunerArguments": "arguments",
    "Screen": "screening",
    "Task": "training",
    "FusedAdam": "training",
    "run_trial": "generation",
    "save": "networks",
    "load": "networks",
    "export_onnx": "networks",
}
__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__():
    return sorted([*globals(), *_HOMES])
