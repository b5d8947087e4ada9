"""Where the seconds of a trial go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import psutil
from torch import nn

from . import progress
from .contract import fidelity_of
from .task import Task


class Stopwatch:
    """Measures the seconds of a trial by phase.

    The seconds of a phase do not include those of phases within it.

    Parameters
    ----------
    since
        When the trial began, in seconds since the epoch of Unix; None: with this process.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch("synthesis"), watch("stress"):
    ...     pass
    >>> list(watch.seconds())
    ['synthesis', 'stress', 'overhead']
    """

    def __init__(self, since: float | None = None):
        self._trial_began = psutil.Process().create_time() if since is None else since
        self._seconds: dict[str, float] = {}
        self._before: Mapping[str, float] = {}  # of processes that were killed
        self._open: list[str] = []  # phases under way, each within the one before
        self._since = 0.0  # when the last of them began, or went on

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Measure the block as a phase."""
        self._take()
        self._open.append(phase)
        progress.entered(phase)
        try:
            yield
        finally:
            self._take()
            self._open.pop()
            if self._open:
                progress.entered(self._open[-1])

    def _take(self) -> None:
        """Add the seconds since the last call to the phase under way."""
        now = time.perf_counter()
        if self._open:
            phase = self._open[-1]
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._since
        self._since = now

    def resume(self, seconds: Mapping[str, float]) -> None:
        """Add the seconds that an earlier process spent on the same trial."""
        self._before = dict(seconds)

    def evaluating(self, task: Task) -> Task:
        """The same task, with its judgements of fidelity checked, and measured as "evaluation"."""

        def fidelity(network: nn.Module, split: str) -> float:
            with self("evaluation"):
                value = fidelity_of(task, network, split)
            progress.judged(split, value)
            return value

        return replace(task, fidelity=fidelity)

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase, and as "overhead" all others since the trial began."""
        self._take()
        whole = time.time() - self._trial_began
        phases = {phase: value for phase, value in self._seconds.items() if phase != "overhead"}
        phases["overhead"] = whole - sum(phases.values())
        return {
            phase: round(phases.get(phase, 0.0) + self._before.get(phase, 0.0), 3)
            for phase in [*(p for p in self._before if p not in phases), *phases]
        }
