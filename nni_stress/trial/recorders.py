"""What a trial leaves on disk of its trainings while they go on, for `status` and TensorBoard."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..lineage.moment import Moment, write_moment
from ..lineage.store import Lineage
from .progress import Observer

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

EVERY = 1.0  # least seconds between two writings of the progress file
POINTS = 200  # of a phase's loss, about

_log = logging.getLogger(__name__)


class ProgressFile:
    """Keeps the progress file of an offspring, which `status` shows.

    Parameters
    ----------
    lineage
        Its folder holds the file.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> file = ProgressFile(lineage)
    >>> file(Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0))
    >>> lineage.progress_path("g001-00").exists()
    True
    """

    def __init__(self, lineage: Lineage):
        self._lineage = lineage
        self._next = 0.0
        self._phase = ""

    def __call__(self, moment: Moment) -> None:
        """Write the moment, unless one of the same phase was written just before."""
        now = time.monotonic()
        if moment.phase == self._phase and now < self._next:
            return
        self._next = now + EVERY
        self._phase = moment.phase
        try:
            write_moment(self._lineage, moment)
        except OSError as error:  # the training matters more than to be seen
            _log.debug("the progress of %s is not written: %s", moment.uid, error)


class EpochLog:
    """Logs every epoch at the level of debugging.

    Examples
    --------
    >>> EpochLog()(Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0))
    """

    def __init__(self) -> None:
        self._shown = ("", 0)

    def __call__(self, moment: Moment) -> None:
        """Log the moment if it is the first of an epoch."""
        now = (moment.phase, moment.epoch)
        if now != self._shown:
            self._shown = now
            _log.debug("%s: %s", moment.uid, moment.describe(now=moment.time))


class Scalars:
    """Writes loss and fidelity of an offspring's trainings for TensorBoard.

    Parameters
    ----------
    writer
        Where they are written.

    Examples
    --------
    >>> import tempfile
    >>> from torch.utils.tensorboard import SummaryWriter
    >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
    ...     Scalars(writer)(Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0))
    """

    def __init__(self, writer: SummaryWriter):
        self._writer = writer
        self._steps = 0  # of all phases before this one
        self._last: Moment | None = None

    def __call__(self, moment: Moment) -> None:
        """Write what is new in a moment, at the number of steps since the trial began."""
        last = self._last
        self._last = moment
        if last is not None and moment.phase != last.phase:
            self._steps += last.step
        at = self._steps + moment.step
        is_new = last is None or (moment.phase, moment.step) != (last.phase, last.step)
        every = max(1, moment.steps // POINTS)
        if moment.loss is not None and is_new and moment.step % every == 0:
            self._writer.add_scalar(f"loss/{moment.phase}", moment.loss, at)
        if moment.fidelity is not None and (last is None or moment.fidelity != last.fidelity):
            self._writer.add_scalar("fidelity/validation", moment.fidelity, at)


@contextlib.contextmanager
def recorded(lineage: Lineage, uid: str) -> Iterator[list[Observer]]:
    """The observers that record an offspring's progress within the block.

    At its end the progress file is removed; the scalars stay.

    Parameters
    ----------
    lineage
        Its folder holds what is written.
    uid
        Name of the offspring.

    Examples
    --------
    >>> import tempfile
    >>> with recorded(Lineage(tempfile.mkdtemp()), "g001-00") as observers:
    ...     observers[0](Moment("g001-00", "stress", 3, 10, 1, 0.5, None, None, 0.1, 0.0))
    """
    observers: list[Observer] = [ProgressFile(lineage), EpochLog()]
    with contextlib.ExitStack() as stack:
        stack.callback(lineage.progress_path(uid).unlink, missing_ok=True)
        with contextlib.suppress(ImportError, OSError):  # TensorBoard is optional
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(str(lineage.tensorboard_path(uid)))
            stack.callback(writer.close)
            observers.append(Scalars(writer))
        yield observers
