"""Where the seconds of a trial go."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace

import psutil

from .task import Task


class Stopwatch:
    """The seconds of this process by phase. A phase within another counts for itself alone."""

    def __init__(self):
        self._seconds: dict[str, float] = {}
        self._within = 0.0  # seconds of phases within the one under way

    @contextmanager
    def __call__(self, phase: str):
        began, outer, self._within = time.perf_counter(), self._within, 0.0
        try:
            yield
        finally:
            whole = time.perf_counter() - began
            self._seconds[phase] = self._seconds.get(phase, 0.0) + whole - self._within
            self._within = outer + whole

    def evaluating(self, task: Task) -> Task:
        """The task, its judgements of fidelity counted as evaluation."""

        def fidelity(network, split):
            with self("evaluation"):
                return task.fidelity(network, split)

        return replace(task, fidelity=fidelity)

    def seconds(self) -> dict[str, float]:
        """Seconds of every phase, and of all else since this process began, the overhead."""
        whole = time.time() - psutil.Process().create_time()
        return {
            phase: round(value, 3)
            for phase, value in {
                **self._seconds,
                "overhead": whole - sum(self._seconds.values()),
            }.items()
        }
