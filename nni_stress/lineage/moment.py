"""How far the training of an offspring has come, for whoever watches. Imports no torch.

The file ``progress/UID.json`` of a lineage's folder is replaced every second or two while a trial
trains, and removed when the trial ends. A trial that was killed leaves it behind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..utils.atomic_files import read_json, write_json
from .store import ABSENT, Lineage
from .uid import check_uid

PHASES = ("training", "stress", "synthesis", "recovery", "maturation")
_BYTES = 2**14


class Moment(NamedTuple):
    """A moment of the making of one offspring.

    Parameters
    ----------
    uid
        Name of the offspring.
    phase
        "training" (of the founder), "stress", "synthesis", "recovery" or "maturation".
    step, steps
        Optimizer steps taken in this phase, and in all; both 0 where the phase has none.
    epochs
        Length of the phase in epochs, a shorter last one included.
    loss
        Training loss of the last step; None before the first.
    fidelity
        Validation fidelity that was measured last; None before the first.
    left
        Seconds until the phase ends, as far as can be told; None at its beginning.
    share
        Share of the whole trial's steps that are taken.
    time
        When this was, in seconds since the epoch of Unix.

    Examples
    --------
    >>> moment = Moment("g001-00", "recovery", 30, 100, 4, 0.25, 0.9, 12.0, 0.5, 0.0)
    >>> moment.epoch
    2
    """

    uid: str
    phase: str
    step: int
    steps: int
    epochs: int
    loss: float | None
    fidelity: float | None
    left: float | None
    share: float
    time: float

    @property
    def epoch(self) -> int:
        """Number of the epoch under way, the first being 1."""
        if not self.steps:
            return 0
        return min(self.epochs, 1 + self.step * self.epochs // self.steps)

    def describe(self, now: float | None = None) -> str:
        """The moment as text: phase, epoch, loss, fidelity and time left.

        Parameters
        ----------
        now
            Seconds since the epoch of Unix; by default the present. What is older than a minute
            says how old it is.

        Examples
        --------
        >>> Moment("g001-00", "recovery", 30, 100, 4, 0.25, 0.9, 12.0, 0.5, 0.0).describe(now=1.0)
        'recovery, epoch 2 of 4, loss 0.25, fidelity 0.9000, 12 s left'
        """
        age = (time.time() if now is None else now) - self.time
        parts = [
            self.phase,
            f"epoch {self.epoch} of {self.epochs}" if self.steps else "",
            "" if self.loss is None else f"loss {self.loss:.3g}",
            "" if self.fidelity is None else f"fidelity {self.fidelity:.4f}",
            "" if self.left is None else f"{duration(self.left)} left",
            f"last heard of {duration(age)} ago" if age > 60 else "",
        ]
        return ", ".join(filter(None, parts))


def duration(seconds: float) -> str:
    """Seconds as text.

    Examples
    --------
    >>> duration(12.4), duration(90), duration(7500)
    ('12 s', '1 min 30 s', '2 h 5 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def write_moment(lineage: Lineage, moment: Moment) -> None:
    """Replace the file of an offspring's progress.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> moment = Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0)
    >>> write_moment(lineage, moment)
    >>> read_moment(lineage, "g001-00") == moment
    True
    """
    write_json(lineage.progress_path(moment.uid), moment._asdict())


def read_moment(lineage: Lineage, uid: str) -> Moment | None:
    """The latest moment of an offspring's making; None if there is none, or its file is damaged.

    Examples
    --------
    >>> read_moment(Lineage("/nonexistent"), "g001-00") is None
    True
    """
    try:
        found = read_json(lineage.progress_path(check_uid(uid)), _BYTES)
        return _parsed(found, uid)
    except (*ABSENT, TypeError, ValueError):
        return None


def _parsed(data: Any, uid: str) -> Moment | None:
    if not isinstance(data, Mapping):
        raise TypeError(f"expected a mapping, but got {type(data).__name__}")
    moment = Moment(**data)
    numbers = [moment.step, moment.steps, moment.epochs, moment.share, moment.time]
    numbers += [v for v in (moment.loss, moment.fidelity, moment.left) if v is not None]
    if not all(type(value) in (int, float) and math.isfinite(value) for value in numbers):
        raise ValueError("numbers expected")
    whole = (moment.step, moment.steps, moment.epochs)
    if any(type(value) is not int for value in whole) or min(whole) < 0:
        raise ValueError("whole numbers expected")
    if moment.uid != uid or moment.phase not in PHASES:
        raise ValueError(f"a moment of {uid} expected")
    return moment
