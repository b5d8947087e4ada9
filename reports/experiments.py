"""Starts the experiments of benchmarks by the real nnictl, and waits for their end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni_stress.experiment import launch


def trial_command(module: str, *words: object) -> str:
    """Return the command of a trial that a module of ``nni_stress.trials`` runs.

    The name is the same in a checkout and in an installed wheel.

    Examples
    --------
    >>> trial_command("lenet5", "--data", "digits").partition(" ")[2]
    '-m nni_stress.trials.lenet5 --data digits'
    """
    python = Path(sys.executable).name
    return shlex.join([python, "-m", f"nni_stress.trials.{module}", *map(str, words)])


def run_experiment(
    config: dict[str, Any], folder: Path, port: int, each_second: Callable[[], None]
) -> None:
    """Run an experiment to its end, and stop its manager whatever happens.

    Parameters
    ----------
    config
        The experiment, as an experiment file has it.
    folder
        Where NNI writes its own files.
    port
        Port of the manager on 127.0.0.1.
    each_second
        Called once a second meanwhile.

    Raises
    ------
    LaunchError
        If nnictl refuses the experiment, or it ends in ERROR.
    """
    experiment = launch.start(config, folder, port)
    try:
        experiment.follow(each_second)
    finally:
        experiment.stop()
