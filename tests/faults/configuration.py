"""The configuration of an experiment to which faults happen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from reports.simulation import SPACE

ROOT = Path(__file__).parents[2]


def base(seed: int) -> dict[str, Any]:
    """The configuration without its tuner and its trial command."""
    return {
        "experimentName": f"faults {seed}",
        "searchSpace": SPACE,
        "trialConcurrency": 2,
        "trialCodeDirectory": str(ROOT),
        "trainingService": {"platform": "local"},
    }


def tuner(arguments: dict[str, Any]) -> dict[str, Any]:
    """The tuner's section."""
    return {
        "className": "nni_stress.StressTuner",
        "codeDirectory": str(ROOT),
        "classArgs": arguments,
    }


def trial_command(seconds: float, script: Path | None) -> str:
    """The command of a trial.

    Parameters
    ----------
    seconds
        How long a trial takes.
    script
        A file to write the command to, which a shell runs that Python does not replace; None: none.
    """
    command = f"{Path(sys.executable).name} -m tests.faults.faulty_trial {seconds}"
    if script is None:
        return command
    script.write_text(f"{command}\nexit $?\n")
    return f"sh {script}"
