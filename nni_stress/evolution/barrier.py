"""The generation barrier: sends a generation's offspring to trials, and closes it when all ended.

NNI keeps parameters in one queue, from which the first trial to ask takes the head. When a trial
ends NNI may name another one, and it asks for parameters that it never asks for again
(microsoft/nni issues 5693, 5726). Therefore offspring carry names of their own, requests are kept
as credits, the lineage on disk says what became of an offspring, and the manager's list of jobs
says whether the process that took it still lives. NNI's events only make the barrier look sooner.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..nni_runtime.manager import Manager, in_dispatcher, say
from ..utils.messages import one_line
from .connection import Connection
from .job_watch import JobWatch
from .tuner_process import lock_lineage, start_threads
from .under_way import GenerationUnderWay

_log = logging.getLogger(__name__)

LOOK = 0.5  # seconds between two looks at the lineage
ASK = 10.0  # seconds between two looks at the manager's jobs
_END_WAITS = (1, 2, 4, 8)  # seconds between tries to end the experiment: the manager may be busy


def no_more_trials(reason: Any) -> str:
    """Why a higher number of trials does not make an evolution go on that has ended.

    Parameters
    ----------
    reason
        The reason for which it ended.

    Examples
    --------
    >>> no_more_trials("all 4 generations done").partition(";")[0]
    'the evolution has ended (all 4 generations done), so there is nothing for more trials to do'
    """
    return (
        f"the evolution has ended ({reason}), so there is nothing for more trials to do; "
        "for more generations, start another experiment with a higher number of them"
    )


def guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a callback of NNI's under the barrier's lock, and report its error.

    An error ends the experiment in ERROR with its reason. Without this, an exception in a callback
    would leave the experiment RUNNING for ever.

    Parameters
    ----------
    method
        Method of an object that has a `barrier`.

    Examples
    --------
    >>> import tempfile
    >>> class Tuner:
    ...     barrier = Barrier(Lineage(tempfile.mkdtemp()), lambda *ended: "done")
    ...
    ...     @guarded
    ...     def trial_end(self):
    ...         raise ValueError("the record is missing")
    >>> Tuner().trial_end()  # NNI sees no exception
    []
    >>> Tuner.barrier.error
    'ValueError: the record is missing'
    """

    @functools.wraps(method)
    def guard(self: Any, *args: Any, **kwargs: Any) -> Any:
        barrier: Barrier = self.barrier
        with barrier.lock:
            barrier.connect(kwargs.get("st_callback"))
            try:
                if barrier.error is None:
                    return method(self, *args, **kwargs)
            except Exception as error:
                barrier.fail(error)
            return []

    return guard


class Barrier:
    """Sends each generation's offspring to NNI's manager, one generation after the other.

    Parameters
    ----------
    lineage
        Where trials put their results.
    next_generation
        Called without arguments at the start, and with the names of the offspring that have ended
        when a generation closes. Returns the specs of the next generation's offspring, or the
        reason why the evolution ends.
    quorum
        Share of a generation's offspring that must have ended before it may close. What ends later
        is recorded, and does not count.
    time_limit
        Seconds that a trial may take; None: any time.
    retries
        How often an offspring is sent again whose process vanished, or ended before it asked for
        its parameters.
    manager, clock
        NNI's manager, and a clock. Attributes, so that tests can replace them.

    Attributes
    ----------
    lock
        Held by whoever calls a method.
    error
        The reason why the experiment ended in ERROR; None: it did not.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> barrier = Barrier(lineage, lambda *ended: "all 4 generations done")
    >>> barrier.connect(print)
    >>> barrier.look()
    >>> lineage.read_state()
    {'incarnation': 0, 'finished': 'all 4 generations done'}
    """

    def __init__(
        self,
        lineage: Lineage,
        next_generation: Callable[..., list[TrialSpec] | str],
        quorum: float = 1.0,
        time_limit: float | None = None,
        retries: int = 2,
        manager: Manager | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.lock = threading.RLock()
        self.error: str | None = None
        self.manager = manager or Manager()
        self.clock = clock
        self._lineage = lineage
        self._next_generation = next_generation
        self._quorum = quorum
        self._time_limit = time_limit
        self._connection = Connection()
        self._generation: GenerationUnderWay | None = None
        self._started = False
        self._finished = False
        self._asked = -math.inf
        if in_dispatcher():
            self._lock_file = lock_lineage(lineage.folder)
            lineage.remove_leftovers()
            start_threads(self._look_in_background, LOOK)
        self._incarnation = lineage.last_incarnation() + 1
        self._watch = JobWatch(
            lineage, self._incarnation, time_limit, retries, lambda: self.clock()
        )

    # Events of NNI

    def connect(self, send: Any) -> None:
        """Store NNI's callback for parameters; an earlier error is reported as soon as it is known.

        Parameters
        ----------
        send
            The callback; None: NNI did not pass it this time.
        """
        if send is None:
            return
        first = not self._connection.is_open
        self._connection.open(send)
        if first and self.error is not None:
            self._connection.report_error(self.error)

    def request(self, ids: list[int]) -> None:
        """The manager asks for parameters."""
        self._connection.request(ids)
        self.look()

    def ended(self) -> None:
        """Some trial has ended. NNI does not know which one."""
        self._asked = -math.inf
        self.look()

    def reported(self, uid: Any) -> None:
        """A trial says that it has recorded an offspring, which other machines may see later."""
        if self._generation is not None:
            self._generation.report(uid, self.clock())

    # Actions

    def fail(self, error: Exception) -> None:
        """End the experiment in ERROR, with the error as its reason."""
        _log.error("the tuner failed", exc_info=error)
        self._fail(one_line(error))

    def _fail(self, reason: str) -> None:
        self.error = reason
        self._connection.report_error(reason)
        with contextlib.suppress(OSError):  # a full disk may be the reason itself
            if self._lineage.read_state() is not None:
                self._lineage.update_state(failed=reason)

    def look(self) -> None:
        """See what became of the offspring, and close the generation and open the next if due."""
        if not self._started and self._connection.is_open:
            self._started = True
            self._open(self._next_generation())
        while self._generation is not None and self._is_over(self._generation):
            self._open(self._next_generation(self._generation.settled()))
        self._send_waiting()

    def _look_in_background(self) -> float | None:
        """Look, and return the seconds until the next look, or None for none."""
        with self.lock:
            try:
                if self._finished:
                    with contextlib.suppress(OSError):  # the manager may be gone by now
                        self._watch.cancel_idle_jobs(self.manager)
                        self._end_again()
                elif self._started and self.error is None:
                    self.look()
            except Exception as error:
                self.fail(error)
        if self.error is not None:
            return None
        return ASK if self._finished else LOOK

    def _open(self, specs: list[TrialSpec] | str) -> None:
        if isinstance(specs, str):
            self._finish(specs)
            return
        self._generation = GenerationUnderWay(
            self._lineage, specs, self._incarnation, self._time_limit
        )
        self._lineage.remove_snapshots(keep=[spec.uid for spec in specs])
        self._lineage.update_state(
            incarnation=self._incarnation,
            generation=self._generation.number,
            finished=None,
            failed=None,
        )

    def _finish(self, reason: str) -> None:
        self._generation = None
        self._lineage.remove_snapshots()
        self._lineage.update_state(incarnation=self._incarnation, finished=reason)
        _log.info("the evolution ends: %s", reason)
        for wait in (*_END_WAITS, None):
            try:
                self.manager.end_experiment()
                self._finished = True
                return
            except OSError as error:
                if wait is None:
                    raise RuntimeError(
                        f"the evolution has ended ({reason}), but NNI's manager does not: {error}"
                    ) from None
                time.sleep(wait)

    def _end_again(self) -> None:
        """End an experiment whose number of trials was raised: it would run for ever."""
        if self.manager.runs_again():
            reason = (self._lineage.read_state() or {}).get("finished")
            say(f"the experiment ends again: {no_more_trials(reason)}")
            self.manager.end_experiment()

    def _send_waiting(self) -> None:
        """Send offspring as long as there are requests."""
        generation = self._generation
        while (
            generation is not None
            and generation.has_waiting
            and self._connection.can_send
            and self.error is None
        ):
            self._connection.send(generation.next_to_send(self.clock()))

    def _is_over(self, generation: GenerationUnderWay) -> bool:
        """Whether a generation may close. Vanished offspring are sent again, or noted as lost."""
        reason = generation.fatal_failure()
        if reason is not None:
            self._fail(" ".join(reason.split()))
        if self.error is not None:
            return False
        settled = generation.settled()
        if len(settled) < len(generation) and self.clock() - self._asked >= ASK:
            self._asked = self.clock()
            try:
                self._watch.look(generation, self.manager)
                reason = self.manager.reason_of_end()
                if reason is not None and not self._watch.waits_for_disk(generation):
                    self._fail(reason)
            except OSError as error:
                if error.errno is not None:  # of the lineage's disk: the manager's have no number
                    raise
                # The manager is busy: ask again later.
                _log.warning("NNI's manager does not answer: %s", one_line(error))
            settled = generation.settled()
        return generation.may_close(settled, self._quorum)
