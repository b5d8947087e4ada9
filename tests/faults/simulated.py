"""An evolution over a simulated manager, in processes of its own that may be killed.

Tuner, barrier, lineage and the acceptance of parameters by a trial are the real ones, and the
processes and their ends are real, too.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni_stress import StressTuner
from nni_stress.lineage.store import Lineage
from reports.simulation import SimulatedManager
from tests.faults.properties import SETTINGS, Snapshot, check_end

PATIENCE = 90  # seconds of one session, after which it counts as hanging
SESSIONS = 12  # after so many sessions without an end, an evolution does not recover
CHANGES = 280  # changes of the disk in an undisturbed evolution, roughly

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class FaultyManager(SimulatedManager):
    """A simulated manager whose trials may fail to write."""

    def _trial(self, job: str) -> str:
        try:
            return super()._trial(job)
        except (OSError, SystemExit, ValueError):
            return "FAILED"


class Sabotage:
    """Kills this process at a change of a folder, or makes changes fail with an error.

    Parameters
    ----------
    folder
        The folder.
    first
        Number of the change before which it begins.
    error
        The error's number; None: SIGKILL.
    count
        How many changes fail.
    """

    EVENTS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link")

    def __init__(self, folder: Path, first: int, error: int | None = None, count: int = 1):
        self._folder = str(folder)
        self._first = first
        self._error = error
        self._count = count
        self._seen = 0

    def __call__(self, _: Any) -> None:
        """Begin to watch this process."""
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple) -> None:
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in self.EVENTS:
            return
        if not str(arguments[0]).startswith(self._folder):
            return
        self._seen += 1
        if not self._first <= self._seen < self._first + self._count:
            return
        if self._error is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self._error, os.strerror(self._error), arguments[0])


class Simulated:
    """One evolution, session after session.

    Parameters
    ----------
    folder
        Folder of the lineage.
    seed
        Seed of the evolution and of its faults.
    changes
        Arguments of the tuner other than usual.
    """

    def __init__(self, folder: Path, seed: int, same_records: bool = True, **changes: Any):
        self.random = random.Random(seed)
        self.lineage = Lineage(folder)
        self.settings = {**SETTINGS, "seed": seed, "folder": str(folder), **changes}
        self.snapshot = Snapshot(self.lineage)
        self.sessions = 0
        self.reasons: list[str] = []
        self._same_records = same_records

    def session(
        self,
        disturb: Callable[[FaultyManager], None] | None = None,
        kill_after: float | None = None,
        concurrency: int | None = None,
    ) -> bool:
        """Run the evolution in a process until it ends; return whether it came to its end.

        Parameters
        ----------
        disturb
            Called in the process with the manager before it runs; can be pickled.
        kill_after
            Seconds after which the process is killed; None: it is not.
        concurrency
            Trials at a time; None: one to three.
        """
        self.snapshot.take()
        receiver, sender = _processes.Pipe(duplex=False)
        process = _processes.Process(
            target=_evolve,
            args=(
                self.settings,
                self.sessions > 0,
                concurrency or 1 + self.sessions % 3,
                disturb,
                sender,
            ),
        )
        process.start()
        sender.close()
        process.join(PATIENCE if kill_after is None else kill_after)
        hangs = process.is_alive() and kill_after is None
        process.kill()
        process.join()
        self.sessions += 1
        assert not hangs, f"the evolution hangs for {PATIENCE} s"
        if process.exitcode:
            return False
        ended, error, broken = receiver.recv()
        assert broken is None, broken
        if error is not None:
            assert error and "\n" not in error, f"a reason must be one line, but is {error!r}"
            self.reasons.append(error)
        return ended

    def finish(self) -> None:
        """Run the evolution to its end without further faults, and check what must hold."""
        for _ in range(SESSIONS):
            if self.session():
                break
        else:
            raise AssertionError(f"the evolution does not recover: {self.reasons[-1:]}")
        self.snapshot.check()
        check_end(self.lineage, self.settings, self._same_records)


def _evolve(
    settings: dict[str, Any],
    resumed: bool,
    concurrency: int,
    disturb: Callable[[FaultyManager], None] | None,
    sender: Any,
) -> None:
    if resumed:
        os.environ["NNI_MODE"] = "resume"
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, until this process ends
    broken = None
    manager = FaultyManager(StressTuner(**settings), concurrency)
    try:
        if disturb is not None:
            disturb(manager)
        manager.run(seconds=100_000)
    except OSError as error:  # as in the tuner's thread
        manager.tuner.barrier.fail(error)
        manager.error = manager.tuner.barrier.error
    except Exception as error:
        broken = f"{type(error).__name__}: {error}"
    sender.send((manager.ended, manager.error, broken))


FULL, READ_ONLY, BROKEN = errno.ENOSPC, errno.EROFS, errno.EIO
