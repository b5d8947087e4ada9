"""Stress-induced evolutionary synthesis of deep networks for Microsoft NNI.

Importing this package patches NNI 3.0 for current PyTorch (:mod:`nni_stress.nni_compat.patches`)
and hooks nnictl (:mod:`nni_stress.experiment.hooks`). It imports neither torch nor NNI until a name
that needs them is used, because NNI's manager waits only a few seconds for its tuner to start.
"""

from __future__ import annotations

import importlib
from typing import Any

from .cli import check_flag
from .experiment import hooks
from .nni_compat import patches

patches.install()
hooks.install()
check_flag.take()

_MODULES = {
    "StressPruner": "pruning.pruner",
    "StressTuner": "evolution.tuner",
    "evolve": "api.evolve",
    "for_budget": "evolution.one_budget",
    "open_lineage": "api.results",
    "Evolution": "api.results",
    "Arguments": "hparams",
    "PrunerArguments": "hparams",
    "Screen": "pruning.screening",
    "compare": "reports.contest.api",
    "inspect": "pruning.inspection",
    "Task": "trial.task",
    "FusedAdam": "trial.task",
    "check": "api.check",
    "run_trial": "cli.trial",
    "save": "graph.serialization",
    "load": "graph.serialization",
    "export_onnx": "graph.onnx",
    "register_importance": "pruning.own",
    "register_stressor": "pruning.own",
    "register_layer": "graph.following.own",
    "register_operator": "graph.following.own",
    "Dimensions": "graph.following.dimensions",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES, "__version__"])


def _version() -> str:
    """Return the version of the installed package, or "unknown" if it was not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nni-stress")
    except PackageNotFoundError:
        return "unknown"
