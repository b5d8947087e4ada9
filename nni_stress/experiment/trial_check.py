"""Tries the trial of an experiment out before it starts, in a process of its own.

The trial's command runs as it is, with a variable that names a file: `nni_stress.run_trial` then
checks the task up to the loss of its first batch, and ends. That takes some seconds; a trial that
needs longer than a limit is not waited for. What is found is what would end the experiment.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..exceptions import LaunchError
from ..trial.checking.brief import REPORT
from ..utils.messages import raised_in, short
from .trial_script import script_of
from .validation import trials_of

if TYPE_CHECKING:
    from nni.experiment.config import ExperimentConfig

SWITCH = "NNI_STRESS_CHECK"  # "off" leaves the check out; else its limit in seconds
LIMIT = 15.0  # seconds


def check_trials(config: ExperimentConfig) -> None:
    """Check the trial of an experiment, if it runs on this machine and its script is a trial's.

    Parameters
    ----------
    config
        The configuration, which is valid.

    Raises
    ------
    LaunchError
        If the script or its task is wrong, with the first fault, in one line; or if `SWITCH` is
        set to what is neither "off" nor a number of seconds.

    Examples
    --------
    >>> from nni.experiment.config import ExperimentConfig
    >>> config = ExperimentConfig("local")
    >>> config.trial_command, config.trial_code_directory = "python3 setup.py", "."
    >>> check_trials(config)  # it does not call run_trial
    """
    limit = _limit()
    if limit is None:
        return
    for trial in trials_of(config):
        script = script_of(trial.command, trial.folder) if trial.local else None
        if script is None or b"run_trial" not in script.read_bytes():
            continue
        faults = _faults(trial.command, trial.folder, limit)
        if faults:
            more = f" ({len(faults) - 1} more: see --check)" if len(faults) > 1 else ""
            raise LaunchError(f"{trial.command}: {faults[0]}{more}")


def _limit() -> float | None:
    """For how many seconds a check is waited for; None if there shall be none."""
    given = os.environ.get(SWITCH, str(LIMIT))
    if given == "off":
        return None
    with suppress(ValueError):
        if 0 < float(given) < math.inf:
            return float(given)
    raise LaunchError(f"{SWITCH} must be off or a number of seconds above 0, but is {short(given)}")


def _faults(command: str, folder: Path, limit: float) -> list[str]:
    """What is wrong with a trial; nothing if that is not known."""
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "faults")
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env={**os.environ, REPORT: str(file)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        errors = b""
        try:
            with suppress(subprocess.TimeoutExpired):
                _, errors = process.communicate(timeout=limit)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if file.exists():
            return file.read_text(encoding="utf-8").splitlines()
    raised = raised_in(errors.decode(errors="replace"))
    return [raised] if process.returncode == 1 and raised is not None else []
