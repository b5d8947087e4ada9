"""Seconds and memory of some parts of a program."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil


class Meter:
    """Adds up the seconds of ``with`` blocks, and sees how far the process grows in them.

    Parameters
    ----------
    pause
        Seconds between two looks at the memory.

    Attributes
    ----------
    seconds
        Seconds so far.
    growth
        The furthest that the process grew in one of the blocks, in bytes.

    Examples
    --------
    >>> meter = Meter()
    >>> with meter:
    ...     time.sleep(0.02)
    >>> meter.seconds >= 0.02
    True
    """

    def __init__(self, pause: float = 0.005) -> None:
        self.seconds = 0.0
        self.growth = 0
        self._pause = pause
        self._process = psutil.Process()

    def __enter__(self) -> None:
        self._before = self._process.memory_info().rss
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._start = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.seconds += time.perf_counter() - self._start
        self._is_over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._is_over.wait(self._pause):
            self.growth = max(self.growth, self._process.memory_info().rss - self._before)
