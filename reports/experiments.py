"""Starts the experiments of contests and benchmarks by the real nnictl, and waits for their end."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni_stress.experiment import launch

from .contest import Contest, importable_task


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


def contest_command(module: str, contest: Contest, founder: Path) -> str:
    """Return the command of a contest's trial, which names its task and its founder.

    No message names them: whoever can send one could run any code.

    Parameters
    ----------
    module
        Name of the module of ``nni_stress.trials``.
    contest
        The contest.
    founder
        File of the founder.
    """
    return trial_command(
        module,
        *("--threads", contest.threads),
        *("--task", importable_task(contest.task)),
        *("--founder", founder),
        *("--task-arguments", json.dumps(dict(contest.task_arguments))),
    )


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
