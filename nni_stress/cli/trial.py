"""What a trial's script calls: NNI's trial, or its check (``python trial.py --check``)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..nni_compat.frameworks import import_compression
from ..trial.checking import brief
from ..trial.run import run
from ..trial.task import Task
from ..utils.standard_output import forget_reader
from . import check_flag

if TYPE_CHECKING:
    from ..trial.checking.plan import Plan

EXPERIMENT = "stress.yml"


def run_trial(make_task: Callable[[], Task], founder: str | Path | None = None) -> None:
    """Run one trial of an evolution: take an offspring, make it, record it, and report it to NNI.

    With the option ``--check`` the script tries the task out instead, without NNI, and ends:
    network, batches, loss, fidelity, what can be removed, a few steps of stress, synthesis and
    recovery, and what an evolution costs. Its exit status is 1 if there is a fault. The evolution
    is that of ``stress.yml`` in the script's folder, if there is one, or of ``--check=FILE``.

    Parameters
    ----------
    make_task
        Makes the task. Its errors, such as a data folder that does not exist, end the whole
        experiment with their message.
    founder
        A network file: the founder is read from it, or trained and saved there if it does not
        exist.

    Raises
    ------
    SystemExit
        If the offspring was lost, which the lineage records with the reason; or if there is none
        to be made by this process; or after a check.

    Examples
    --------
    >>> from nni_stress import run_trial
    >>> from my_task import make_task          # doctest: +SKIP
    >>> run_trial(make_task)                   # doctest: +SKIP
    """
    file = check_flag.asked()
    if brief.is_wanted():
        raise SystemExit(_check_briefly(make_task, founder))
    if file is not None and "NNI_PLATFORM" not in os.environ:
        raise SystemExit(_check(make_task, founder, file))
    run(make_task, founder)


def _check_briefly(make_task: Callable[[], Task], founder: str | Path | None) -> int:
    from ..trial.checking.check import examine
    from ..trial.checking.plan import Plan

    return int(not examine(make_task, Plan, founder, brief.tell, brief=True).ok)


def _check(make_task: Callable[[], Task], founder: str | Path | None, file: str) -> int:
    """Check a script's task, line by line; returns the exit status."""
    import psutil

    sys.excepthook = sys.__excepthook__
    import_compression()
    from ..trial.checking.check import examine

    checked = examine(
        make_task,
        lambda: _plan(file),
        founder,
        tell=_print,
        started=lambda: time.time() - psutil.Process().create_time(),
    )
    return int(not checked.ok)


def _print(line: object) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # the check goes on, for its exit status
        forget_reader()


def _plan(name: str) -> Plan:
    """The evolution of an experiment file: the one that is named, or the one beside the script.

    Raises
    ------
    ValueError
        If the file is named and does not exist, or is wrong.
    """
    from ..trial.checking.plan import Plan

    file = Path(name) if name else _folder() / EXPERIMENT
    if not name and not file.exists():
        return Plan()
    from ..experiment import config_file

    config = config_file.read(file)
    arguments = dict(config["tuner"].get("classArgs") or {})
    if not Path(arguments.get("folder") or "").is_absolute():
        arguments.pop("folder", None)  # it is in NNI's folder of the experiment, which is new
    return Plan.of(arguments, config["searchSpace"], config["trialConcurrency"], file.name)


def _folder() -> Path:
    """The folder of the script; with ``python -m``, the folder in which it runs."""
    main = sys.modules["__main__"]
    is_module = getattr(main, "__spec__", None) is not None
    return Path.cwd() if is_module else Path(getattr(main, "__file__", "trial.py")).parent


check_flag.take()  # `import nni_stress` could not, if it came before the main file was known
