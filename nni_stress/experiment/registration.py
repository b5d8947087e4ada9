"""Makes this environment's nnictl know us: `name: Stress` in experiment files, and our guards whenever nnictl runs."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

NAME, CLASS = "Stress", "nni_stress.tuner.StressTuner"
_LINE = Path(__file__).parents[1] / "nnictl.pth"


def register() -> list[str]:
    """Register the tuner with NNI and put the guards into nnictl; returns what was done, a line each.

    Raises
    ------
    OSError
        If the environment cannot be written to.
    """
    import nni
    from nni.runtime.config import get_config_directory
    from nni.tools.package_utils import AlgoMeta, register_algo_meta

    shutil.copyfile(_LINE, _hook())
    os.chmod(_hook(), 0o644)
    register_algo_meta(
        AlgoMeta.load(
            {
                "algoType": "tuner",
                "builtinName": NAME,
                "className": CLASS,
                "nniVersion": nni.__version__,
            }
        )
    )
    return [
        f"nnictl checks experiments of ours and keeps them on 127.0.0.1: {_hook()}",
        f"`name: {NAME}` is our tuner: {get_config_directory() / 'registered_algorithms.yml'}",
    ]


def unregister() -> list[str]:
    """Take back what :func:`register` did; returns what was done, a line each."""
    from nni.tools.package_utils import unregister_algo_meta

    _hook().unlink(missing_ok=True)
    unregister_algo_meta(NAME)
    return [f"nnictl is as NNI made it, and knows no tuner {NAME} any more"]


def _hook() -> Path:
    return Path(sysconfig.get_path("purelib"), "nni_stress_nnictl.pth")
