"""How far a trial has come, told to whoever watches while it trains."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar

from ..hparams import Arguments
from ..lineage.moment import PHASES, Moment
from ..lineage.store import FOUNDER
from ..lineage.trial_spec import TrialSpec

Observer = Callable[[Moment], None]


class Progress:
    """Follows one trial through its phases.

    Parameters
    ----------
    uid
        Name of the offspring.
    epochs
        Epochs of training of the whole trial.
    observers
        Each is called after every step, and when a phase begins.

    Examples
    --------
    >>> seen = []
    >>> with following(Progress("g001-00", 2.0, [seen.append])):
    ...     entered("recovery")
    ...     stepped(step=1, steps=4, per_epoch=2, loss=0.5)
    >>> seen[-1].describe(now=seen[-1].time), seen[-1].share
    ('recovery, epoch 1 of 2, loss 0.5', 0.25)
    """

    def __init__(self, uid: str, epochs: float, observers: Sequence[Observer]):
        self._observers = list(observers)
        self._epochs = max(epochs, 1e-9)
        self._done = 0.0  # epochs of phases before this one
        self._in_phase = 0.0  # epochs of this one
        self._began: tuple[int, float] | None = None  # step and time; speed is taken from there
        self._moment = Moment(uid, "", 0, 0, 0, None, None, None, 0.0, time.time())

    def enter(self, phase: str) -> None:
        """Begin a phase, or go on with an outer one."""
        if phase == self._moment.phase or phase not in PHASES:
            return
        self._done += self._in_phase
        self._in_phase = 0.0
        self._began = None
        self._tell(
            self._moment._replace(phase=phase, step=0, steps=0, epochs=0, loss=None, left=None)
        )

    def step(self, step: int, steps: int, per_epoch: int, loss: float) -> None:
        """Note an optimizer step of the phase."""
        now = time.monotonic()
        if self._began is None:
            self._began = (step, now)
        first, since = self._began
        left = (now - since) / (step - first) * (steps - step) if step > first else None
        self._in_phase = step / per_epoch
        self._tell(
            self._moment._replace(
                step=step,
                steps=steps,
                epochs=-(-steps // per_epoch),
                loss=loss,
                left=left,
                share=min(1.0, (self._done + self._in_phase) / self._epochs),
            )
        )

    def judge(self, split: str, fidelity: float) -> None:
        """Note a fidelity that was measured."""
        if split == "validation":
            self._tell(self._moment._replace(fidelity=fidelity))

    def _tell(self, moment: Moment) -> None:
        self._moment = moment._replace(time=time.time())
        for observer in self._observers:
            observer(self._moment)


_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextlib.contextmanager
def following(progress: Progress) -> Iterator[None]:
    """Within the block, trainings of this thread tell their steps to `progress`."""
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)


def entered(phase: str) -> None:
    """Tell the progress that is followed, if any, that a phase begins or goes on.

    Examples
    --------
    >>> entered("stress")  # nothing follows
    """
    progress = _current.get()
    if progress is not None:
        progress.enter(phase)


def stepped(step: int, steps: int, per_epoch: int, loss: float) -> None:
    """Tell the progress that is followed, if any, that an optimizer step was taken.

    Parameters
    ----------
    step, steps
        Number of steps taken in this training, and in all.
    per_epoch
        Steps of one epoch.
    loss
        Training loss of the step.

    Examples
    --------
    >>> stepped(1, 10, 5, loss=0.5)  # nothing follows
    """
    progress = _current.get()
    if progress is not None:
        progress.step(step, steps, per_epoch, loss)


def judged(split: str, fidelity: float) -> None:
    """Tell the progress that is followed, if any, that a fidelity was measured.

    Examples
    --------
    >>> judged("validation", 0.9)  # nothing follows
    """
    progress = _current.get()
    if progress is not None:
        progress.judge(split, fidelity)


def epochs_of(spec: TrialSpec, founder_epochs: float) -> float:
    """Epochs of training that a trial takes, if it does not end early.

    Examples
    --------
    >>> epochs_of(TrialSpec("g001-00", 1, "g000-00", None, 0, {"stress_epochs": 1}), 10.0)
    5.0
    """
    if spec.uid == FOUNDER:
        return founder_epochs
    arguments: Arguments = spec.hyperparameters()
    stress = 0.0 if spec.maturation else arguments.stress_epochs
    return float(stress + arguments.recovery_epochs)
