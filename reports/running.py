"""Runs a contest: the founder once, each evolution as one experiment, all built-in pruners in one.

The evolutions are run by :mod:`reports.evolving`.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from nni_stress.trials.founders import train_founder
from nni_stress.trials.pruners import SPACES

from nni_stress.graph import cost, serialization
from nni_stress.nni_runtime import orphans
from nni_stress.trial.task import Task, load_task
from nni_stress.utils.atomic_files import write_json
from nni_stress.utils.temporaries import remove_leftovers

from .cell_records import read_cell
from .checkout import PACKAGE
from .contest import ABLATIONS, EVOLUTION, Cell, Contest, importable_task
from .contest_file import read_contest
from .environment import environment
from .evolving import evolve_all
from .experiments import contest_command, run_experiment

_ATTEMPTS = 3  # experiments for the built-in pruners, as long as trials get lost


def run_contest(
    folder: Path, port: int, founder: Path | None = None, show: Callable[[str], None] = print
) -> list[Cell]:
    """Run whatever of a contest is not recorded in its folder.

    Parameters
    ----------
    folder
        The contest's folder, with its contest.yml: see :func:`reports.contest_file.begin`.
    port
        The first port for NNI's managers; as many are used as trials may run at a time.
    founder
        File of the founder; None: trained by the task, and kept in the folder.
    show
        Takes a line for every cell that is done.

    Returns
    -------
    list
        The cells that are still incomplete because trials were lost.

    Raises
    ------
    ValueError, FileNotFoundError, LaunchError
        If the contest, its task or a record is wrong, or an experiment ends in ERROR.
    """
    folder = folder.resolve()
    contest = read_contest(folder / "contest.yml")
    with alone(folder):
        return _run(contest, folder, port, founder, show)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let no other process run this contest, and stop the managers of one that was killed."""
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another process is running the contest in {folder}") from None
        orphans.stop_managers(folder)
        for written in (folder, *folder.glob("cells/*")):
            remove_leftovers(written)
        yield


def _run(
    contest: Contest, folder: Path, port: int, founder: Path | None, show: Callable[[str], None]
) -> list[Cell]:
    task = load_task(importable_task(contest.task), contest.task_arguments)
    torch.set_num_threads(contest.concurrency * contest.threads)
    founder = prepare_founder(task, folder, founder)
    write_json(folder / "environment.json", environment())
    missing = [
        cell for cell in contest.cells() if cell.method in ABLATIONS and not read_cell(folder, cell)
    ]
    evolutions = [cell for cell in missing if cell.method == EVOLUTION]
    evolve_all(contest, evolutions, folder, founder, port, show)
    for _ in range(_ATTEMPTS):
        if incomplete(contest, folder):
            _prune(contest, folder, founder, port, show)
    # The ablations come last: they matter least should the contest be cut short.
    ablations = [cell for cell in missing if cell.method != EVOLUTION]
    evolve_all(contest, ablations, folder, founder, port, show)
    shutil.rmtree(folder / "work", ignore_errors=True)
    return incomplete(contest, folder)


def prepare_founder(task: Task, folder: Path, file: Path | None) -> Path:
    """Train the founder if its file does not exist, record what it achieves; return its file.

    Parameters
    ----------
    task
        Makes and trains it.
    folder
        The contest's folder.
    file
        Its file; None: one in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (file or folder / "founder.safetensors").resolve()
    exists = file.exists()
    network = serialization.load(file, task.network) if exists else train_founder(task, file)
    write_json(
        folder / "founder.json",
        {
            "synapses": cost.synapses(network),
            "macs": cost.macs(network, task.example_input),
            "architecture": cost.architecture(network),
            "validation": task.fidelity(network, "validation"),
            "test": task.fidelity(network, "test"),
            "epochs": task.founder_epochs,
        },
    )
    return file


def incomplete(contest: Contest, folder: Path) -> list[Cell]:
    """Return the built-in pruners' cells that lack trials."""
    return [
        cell
        for cell in contest.cells()
        if cell.method not in ABLATIONS and _lacking(contest, folder, cell)
    ]


def _lacking(contest: Contest, folder: Path, cell: Cell) -> int:
    """Return how many of its trials a built-in pruner's cell lacks."""
    return contest.share(cell.method)[0] - len(read_cell(folder, cell))


def _prune(
    contest: Contest, folder: Path, founder: Path, port: int, show: Callable[[str], None]
) -> None:
    """Run all missing trials of the built-in pruners in one experiment."""
    work = folder / "work" / "builtin"
    lacking = incomplete(contest, folder)
    shown = set(contest.cells()) - set(lacking)

    def show_done() -> None:
        for cell in contest.cells():
            if cell not in shown and not _lacking(contest, folder, cell):
                shown.add(cell)
                show(f"{cell.name} is done")

    shutil.rmtree(work, ignore_errors=True)
    config = {
        "experimentName": f"contest {folder.name}",
        "searchSpace": {"unused": {"_type": "choice", "_value": [0]}},
        "trialConcurrency": contest.concurrency,
        "trialCommand": contest_command("builtin", contest, founder),
        # NNI ends an experiment only after a given number of trials.
        "maxTrialNumber": sum(_lacking(contest, folder, cell) for cell in lacking),
        "trialCodeDirectory": str(Path.cwd()),
        "trainingService": dict(contest.training_service),
        "tuner": {
            "className": f"{PACKAGE}.contest_tuner.ContestTuner",
            "codeDirectory": str(Path.cwd()),
            "classArgs": {"folder": str(folder), "spaces": SPACES},
        },
    }
    run_experiment(config, work, port, show_done)
    shutil.rmtree(work)
