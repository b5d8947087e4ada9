"""What is known of a file that was exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ExportedFile:
    """A file of a network: its size, and what was measured of it.

    Parameters
    ----------
    bytes
        Size of the file.
    runtime
        What ran it, with its version; None if it was not run. So are the following.
    milliseconds
        Latency of one batch on one thread of the CPU: the median of the thread's time.
    relative
        Latency as a share of that of the network in PyTorch, with which it took turns.
    examples
        Number of examples in that batch: one, if the file takes one.
    any_batch
        Whether the file takes any batch size, or only that.
    difference
        Largest difference from the network's outputs, as a share of the output's largest magnitude.
    tolerance
        How much of it is tolerated.
    validation, test
        Fidelity of the file's network, if it is a quantized one.
    calibration
        What a quantized file's ranges were taken from.

    Examples
    --------
    >>> ExportedFile(1200, "PyTorch 2.14.1", milliseconds=0.15).as_json()
    {'bytes': 1200, 'runtime': 'PyTorch 2.14.1', 'milliseconds': 0.15}
    """

    bytes: int
    runtime: str | None = None
    milliseconds: float | None = None
    relative: float | None = None
    examples: int | None = None
    any_batch: bool | None = None
    difference: float | None = None
    tolerance: float | None = None
    validation: float | None = None
    test: float | None = None
    calibration: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What is known, for a file of JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}
