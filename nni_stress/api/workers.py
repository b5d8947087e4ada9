"""Offspring of one generation made in several processes at a time."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..trial.errors import InputError
from ..trial.in_process import Maker, attempt, is_missing
from ..trial.placement import placed
from ..trial.task import Task
from ..utils.logs import quieted

POLL = 1.0  # seconds between two looks at what the workers do


def in_workers(
    task: Task,
    founder: str | Path | None,
    workers: int,
    look: Callable[[list[str]], None] = lambda uids: None,
) -> Maker:
    """A maker that makes as many offspring at a time as there are workers.

    Tasks may be defined in a notebook: they are sent by value. Threads and GPUs are shared out.

    Parameters
    ----------
    task
        What is evolved.
    founder
        The founder's file, or None.
    workers
        Number of processes.
    look
        Called every second with the names of the offspring that are not made yet.

    Examples
    --------
    >>> in_workers(None, None, workers=2)([], Lineage("/nonexistent"))  # nothing to be made
    """

    def make(specs: Sequence[TrialSpec], lineage: Lineage) -> None:
        missing = list(specs)
        with _sent(task) as file, _looking(look, missing, lineage):
            while missing:
                _run(file, missing, lineage, founder, workers)
                _lose_killed(missing, lineage)
                left = [spec for spec in missing if is_missing(lineage, spec.uid)]
                if len(left) == len(missing):
                    raise RuntimeError("workers were killed before they began (out of memory?)")
                missing[:] = left

    return make


def _run(
    file: Path,
    specs: Sequence[TrialSpec],
    lineage: Lineage,
    founder: str | Path | None,
    workers: int,
) -> None:
    """Make what can be made, until all is done or a worker was killed."""
    from concurrent.futures.process import BrokenProcessPool

    import joblib
    import torch

    threads = max(1, torch.get_num_threads() // workers)
    pool = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
    work = joblib.delayed(_work)
    with contextlib.suppress(BrokenProcessPool):  # what was made is in the lineage
        calls = (work(file, spec, lineage.folder, founder, threads) for spec in specs)
        for wrong in pool(calls):
            if wrong is not None:
                raise InputError(wrong)


def _lose_killed(specs: Sequence[TrialSpec], lineage: Lineage) -> None:
    """Note the loss of offspring whose process was killed: their progress file is left."""
    for spec in specs:
        path = lineage.progress_path(spec.uid)
        if path.exists() and is_missing(lineage, spec.uid):
            lineage.add_failure(spec.uid, "its process was killed (out of memory?)")
            path.unlink()


@contextlib.contextmanager
def _sent(task: Task) -> Iterator[Path]:
    """A file from which workers read the task: once each, however many offspring they make.

    With it go the layers, importances and stressors that users have registered in this process.
    """
    import cloudpickle

    from ..pruning.own import registered

    with tempfile.TemporaryDirectory(prefix="nni-stress-") as folder:
        file = Path(folder, "task")
        file.write_bytes(cloudpickle.dumps((task, registered())))
        yield file


@contextlib.contextmanager
def _looking(
    look: Callable[[list[str]], None], specs: Sequence[TrialSpec], lineage: Lineage
) -> Iterator[None]:
    """Look every second, from a thread, at what is not made yet."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(POLL):
            look([spec.uid for spec in list(specs) if is_missing(lineage, spec.uid)])

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# In a worker


def _work(
    file: Path, spec: TrialSpec, folder: Path, founder: str | Path | None, threads: int
) -> str | None:
    """Make one offspring; returns what is wrong if all others would fail for the same reason."""
    import torch

    torch.set_num_threads(threads)
    try:
        with quieted("nni", logging.WARNING):
            attempt(_task_in(file, folder), spec, Lineage(folder), founder)
    except InputError as error:
        return str(error)
    return None


@functools.lru_cache(maxsize=1)
def _task_in(file: Path, folder: Path) -> Task:
    """The task, on the GPU that is this worker's share where there are any."""
    import cloudpickle
    import torch

    from ..pruning.own import take_registered

    task: Task
    task, own = cloudpickle.loads(file.read_bytes())  # written by the process that sent this
    take_registered(own)
    gpus = torch.cuda.device_count()
    if task.device is None and gpus:
        task = dataclasses.replace(task, device=f"cuda:{_slot(folder) % gpus}")
    return placed(task)


_held: list[IO[Any]] = []  # the lock of this worker's slot, as long as it lives


@functools.lru_cache
def _slot(folder: Path) -> int:
    """The least number that no other worker of the lineage has."""
    home = folder / "workers"
    home.mkdir(exist_ok=True)
    number = 0
    while True:
        file = open(home / f"{number}.lock", "w")  # noqa: SIM115, it stays open
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            number += 1
        else:
            _held.append(file)
            file.write(str(os.getpid()))
            return number
