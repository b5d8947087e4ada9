"""Where the seconds of a trial go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psutil
from torch import nn

from .contract import fidelity_of
from .task import Task


class Stopwatch:
    """Measures the seconds of this process by phase.

    The seconds of a phase do not include those of phases within it.

    Examples
    --------
    >>> watch = Stopwatch()
    >>> with watch("synthesis"), watch("stress"):
    ...     pass
    >>> list(watch.seconds())
    ['stress', 'synthesis', 'overhead']
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._inner = 0.0  # seconds of phases within the one under way

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Measure the block as a phase."""
        began = time.perf_counter()
        outer = self._inner
        self._inner = 0.0
        try:
            yield
        finally:
            whole = time.perf_counter() - began
            self._seconds[phase] = self._seconds.get(phase, 0.0) + whole - self._inner
            self._inner = outer + whole

    def evaluating(self, task: Task) -> Task:
        """The same task, with its judgements of fidelity checked, and measured as "evaluation"."""

        def fidelity(network: nn.Module, split: str) -> float:
            with self("evaluation"):
                return fidelity_of(task, network, split)

        return replace(task, fidelity=fidelity)

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase, and as "overhead" all others since this process began."""
        whole = time.time() - psutil.Process().create_time()
        overhead = whole - sum(self._seconds.values())
        return {
            phase: round(value, 3)
            for phase, value in {**self._seconds, "overhead": overhead}.items()
        }
