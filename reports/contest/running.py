"""Runs a contest: founders first, then every cell that has no record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from nni_stress.trials.founders import train_founder

from nni_stress.graph import cost, serialization
from nni_stress.trial.errors import InputError
from nni_stress.trial.task import Task
from nni_stress.utils.atomic_files import read_json, write_json
from nni_stress.utils.messages import one_line
from nni_stress.utils.temporaries import remove_leftovers

from ..claims import claimed
from .file import read_contest
from .plan import Cell, Contest
from .records import (
    cell_path,
    founder_network,
    founder_path,
    read_founder,
    read_record,
    write_record,
)
from .source import Source

_ALIKE = 0.005  # by which the fidelity of one network may differ between machines


def run_contest(
    folder: Path,
    founders: Sequence[Path] = (),
    show: Callable[[str], None] = print,
    task: Task | None = None,
) -> list[str]:
    """Run whatever of a contest is not recorded in its folder.

    Any number of processes, on machines that share the folder, may do so at the same time.

    Parameters
    ----------
    folder
        The contest's folder, with its contest.yml: see :func:`reports.contest.file.begin`.
    founders
        Files of the founders; none: trained by the task, and kept in the folder.
    show
        Takes a line for every cell that is done.
    task
        The task, where it has no name that could be imported.

    Returns
    -------
    list of str
        A line for every cell that found no network.

    Raises
    ------
    ValueError, FileNotFoundError
        If the contest, its task, a founder or a record is wrong.
    """
    folder = folder.resolve()
    contest = read_contest(folder / "contest.yml")
    source = Source(contest, task)
    failures: list[str] = []
    with _generators_kept():
        made = source.task()
        prepare_founders(made, folder, contest.founders, founders)
        for path in folder.glob("cells/*/*/*"):
            remove_leftovers(path)
        for wave in contest.waves():
            missing = [cell for cell in wave if read_record(folder, cell) is None]
            for line, is_done in _run(contest, source, folder, missing):
                (show if is_done else failures.append)(line)
    return failures


def _run(
    contest: Contest, source: Source, folder: Path, cells: Sequence[Cell]
) -> Iterator[tuple[str, bool]]:
    """Run cells, several at a time; gives a line for each, and whether it is recorded."""
    if contest.processes == 1:
        for cell in cells:
            yield _run_one(contest, source, folder, cell)
        return
    import joblib

    # Each process takes the next cell when it is free. Tasks of a notebook are sent by value.
    pool = joblib.Parallel(
        n_jobs=contest.processes, return_as="generator_unordered", batch_size=1, pre_dispatch="all"
    )
    work = joblib.delayed(_run_in_process)
    yield from pool(work(contest, source, folder, cell, os.getpid()) for cell in cells)


def _run_in_process(
    contest: Contest, source: Source, folder: Path, cell: Cell, parent: int
) -> tuple[str, bool]:
    if os.getppid() != parent:  # it was killed, and nobody waits for more cells
        os._exit(1)
    torch.set_num_threads(contest.threads)
    return _run_one(contest, source, folder, cell)


def _run_one(contest: Contest, source: Source, folder: Path, cell: Cell) -> tuple[str, bool]:
    from .cell import run_cell  # takes NNI's compression along

    path = cell_path(folder, cell)
    with claimed(path.with_suffix(".lock")) as free:
        if not free or path.exists():
            return f"{cell.name} is another process's", True
        try:
            found = run_cell(contest, source.task(), folder, cell)
        except InputError:
            raise
        except Exception as error:
            return f"{cell.name} found no network: {one_line(error)}", False
        write_record(folder, cell, found)
    path.with_suffix(".lock").unlink(missing_ok=True)
    return f"{cell.name}: validation {found['validation']:.4f}", True


def prepare_founders(
    task: Task, folder: Path, numbers: Sequence[int], files: Sequence[Path]
) -> None:
    """Prepare every founder of a contest; no files: they are trained by the task."""
    for place, number in enumerate(numbers):
        prepare_founder(task, folder, number, files[place] if files else None)


def prepare_founder(task: Task, folder: Path, number: int, file: Path | None) -> None:
    """Train a founder, or take its file; record what it achieves.

    Raises
    ------
    FileNotFoundError
        If its file does not exist.
    ValueError
        If the folder has another founder of that number.
    """
    path, target = founder_path(folder, number), founder_network(folder, number)
    with claimed(path.with_suffix(".lock"), wait=True):
        if file is not None and not file.is_file():
            raise FileNotFoundError(f"no founder at {file}")
        if file is not None and target.exists() and file.read_bytes() != target.read_bytes():
            raise ValueError(f"{target} is another network than {file}: name another folder")
        if file is not None and not target.exists():
            serialization.save(serialization.load(file, task.network), target)
        network = train_founder(task, target, seed=number)  # or reads it
        validation = float(task.fidelity(network, "validation"))
        if path.exists() and "parameters" in read_json(path):  # not only of its training
            _compare(folder, number, validation)
            return
        found = {
            "parameters": cost.synapses(network),
            "macs": cost.macs(network, task.example_input),
            "architecture": cost.architecture(network),
            "validation": validation,
            "test": float(task.fidelity(network, "test")),
            "epochs": float(task.founder_epochs),
        }
        write_json(path, found)


def _compare(folder: Path, number: int, validation: float) -> None:
    """Refuse the records of another task, of which only the founder's fidelity may tell."""
    known = read_founder(folder, number).validation
    if abs(known - validation) > _ALIKE:
        raise ValueError(
            f"{folder} holds a contest of another task, on which founder {number} has a fidelity "
            f"of {known:g}, not {validation:g}: name another folder"
        )


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Leave torch's generators, which trials seed, as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
