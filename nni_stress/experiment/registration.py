"""Registers this package with an environment's nnictl: ``name: Stress``, and the hooks."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

NAME = "Stress"
CLASS = "nni_stress.tuner.StressTuner"
_PTH_FILE = Path(__file__).parents[1] / "nnictl.pth"


def register() -> list[str]:
    """Register the tuner with NNI, and make nnictl import this package, which installs the hooks.

    Returns
    -------
    list of str
        What was done, a line for each step.

    Raises
    ------
    OSError
        If the environment cannot be written to.
    """
    import nni
    from nni.runtime.config import get_config_directory
    from nni.tools.package_utils import AlgoMeta, register_algo_meta

    installed = _installed_pth_file()
    shutil.copyfile(_PTH_FILE, installed)
    os.chmod(installed, 0o644)
    meta = {
        "algoType": "tuner",
        "builtinName": NAME,
        "className": CLASS,
        "nniVersion": nni.__version__,
    }
    register_algo_meta(AlgoMeta.load(meta))
    algorithms = get_config_directory() / "registered_algorithms.yml"
    return [
        f"nnictl now checks experiments with StressTuner and keeps them on 127.0.0.1: {installed}",
        f"`name: {NAME}` now stands for StressTuner: {algorithms}",
    ]


def unregister() -> list[str]:
    """Undo :func:`register`.

    Returns
    -------
    list of str
        What was done, a line for each step.

    Raises
    ------
    OSError
        If the environment cannot be written to.
    """
    _installed_pth_file().unlink(missing_ok=True)  # first, as it must go also if NNI is broken
    from nni.tools.package_utils import unregister_algo_meta

    unregister_algo_meta(NAME)
    return [f"nnictl is as NNI made it, and knows no tuner {NAME} any more"]


def _installed_pth_file() -> Path:
    """Return the file that Python reads at its start in this environment."""
    return Path(sysconfig.get_path("purelib"), "nni_stress_nnictl.pth")
