"""The processes of an experiment: found by its folder in their command line or environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

SHELLS = ("sh", "bash", "dash")


def processes_of(folder: Path, word: str = "") -> list[psutil.Process]:
    """Processes of an experiment whose command line contains a word, by id.

    This process, and those that it descends from, do not count.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            belongs = str(folder) in line or _names(process.environ(), folder)
            if process.pid not in own and word in line and belongs:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def _names(environment: dict[str, str], folder: Path) -> bool:
    return any(str(folder) in value for value in environment.values())


def is_shell(process: psutil.Process) -> bool:
    """Whether a process is a shell."""
    return process.name() in SHELLS


def send(process: psutil.Process, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)


def left_behind(folder: Path, seconds: float = 20) -> list[str]:
    """Command lines of the processes of an experiment that do not end within some seconds."""
    deadline = time.monotonic() + seconds
    while left := processes_of(folder):
        if time.monotonic() > deadline:
            lines = []
            for process in left:
                with contextlib.suppress(psutil.Error):
                    if process.status() != psutil.STATUS_ZOMBIE:
                        lines.append(" ".join(process.cmdline())[:120])
            return lines
        time.sleep(0.5)
    return []


def kill_all(folder: Path) -> int:
    """Send SIGKILL to all processes of an experiment at once; return how many there were."""
    found = processes_of(folder)
    for process in found:
        send(process)
    return len(found)
