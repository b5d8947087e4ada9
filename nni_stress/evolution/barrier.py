"""The generation barrier: hands out a generation's offspring, and notices when all that can become of them has.

NNI keeps its parameters in one queue, from which whichever trial asks first takes the head; it names the wrong trial when
one ends, and asks for parameters it never asks for again (microsoft/nni issues 5693, 5726). So: offspring carry a name of
our own, requests are kept as credits, the lineage on disk says what became of an offspring, and the manager's list of jobs
whether the process that took it still lives. Events of NNI's only make the barrier look sooner.
"""

from __future__ import annotations

import fcntl
import functools
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ..lineage.store import Lineage
from ..nni_runtime.manager import Manager, die_with_manager, in_dispatcher, say

_log = logging.getLogger(__name__)

# Seconds between two looks at the lineage, and at the manager's jobs; how long a result that was reported may take to be
# seen on a shared disk; how long a trial may overstay its time limit before the generation goes on without it; how long the
# manager may take until parameters that it was sent have become a job.
LOOK, ASK, VISIBLE, OVERTIME, SUBMIT = 0.5, 10.0, 120.0, 60.0, 5.0


def guarded(method):
    """Run a callback of NNI's under the barrier's lock; an error ends the experiment in ERROR with its reason.

    NNI would leave an experiment RUNNING for ever, without a word, after an exception in a callback.
    """

    @functools.wraps(method)
    def guard(self, *args, **kwargs):
        with self.barrier.lock:
            self.barrier.connect(kwargs.get("st_callback"))
            try:
                if self.barrier.error is None:
                    return method(self, *args, **kwargs)
            except Exception as error:
                self.barrier.fail(error)
            return []

    return guard


class Barrier:
    """Hands a generation's offspring to NNI's manager, and the lineage on from generation to generation.

    Parameters
    ----------
    lineage
        Where trials put their results.
    next_generation
        Called without arguments at the start, and with the names of the offspring that have ended when a generation is
        over; returns the parameters of the next one's offspring (each with its ``uid`` and ``generation``), or the reason
        why the evolution ends.
    quorum
        A generation may close when this share of its offspring has ended; what ends later is recorded, and does not count.
    time_limit
        Seconds an offspring may take; None: any time.
    retries
        How often an offspring is sent again whose process vanished, or had not asked for its parameters when it did.
    manager, clock
        NNI's, and time's; attributes, so that a test may run a thousand generations in a minute.
    """

    def __init__(
        self,
        lineage: Lineage,
        next_generation: Callable[..., list[dict] | str],
        quorum: float = 1.0,
        time_limit: float | None = None,
        retries: int = 2,
        manager: Manager | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.lock, self.error = threading.RLock(), None
        self._lineage, self._next, self._quorum, self._time_limit = (
            lineage,
            next_generation,
            quorum,
            time_limit,
        )
        self._retries, self.manager, self.clock = retries, manager or Manager(), clock
        self._send = None  # st_callback, the only way out that NNI does not confuse
        self._credits: list[int] = []
        self._todo: list[str] = []
        self._under_way: dict[str, dict] = {}
        self._tries: dict[str, int] = {}
        self._done: set[str] = set()  # of those under way, which have a record or a failure
        self._sent: dict[str, float] = {}  # when an offspring was sent
        self._taken: dict[str, float] = {}  # when it was first seen taken
        self._reported: dict[str, float] = {}  # when its result was reported
        self._busy: set[str] = set()  # living jobs that have taken an offspring
        self._started = self._finished = False
        self._asked = -math.inf
        if in_dispatcher():
            self._be_the_only_one()
            threading.Thread(target=die_with_manager, daemon=True).start()
            threading.Thread(target=self._keep_looking, daemon=True).start()
        self._incarnation = lineage.last_incarnation() + 1

    def _be_the_only_one(self) -> None:
        self._lineage.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(
            self._lineage.folder / "tuner.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644
        )
        self._lock_file = os.fdopen(handle, "w")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)  # an older tuner may still live for a moment

    # What NNI tells

    def connect(self, send: Callable[[int, Any], None] | None) -> None:
        """Remember NNI's way out, once it is known; an error from before it was known is reported now."""
        if send is not None:
            first, self._send = self._send is None, send
            if first and self.error is not None:
                self._report()

    def request(self, ids: list[int]) -> None:
        """The manager asks for parameters. NNI forgets a request that is not met at once, so it becomes a credit."""
        self._credits += ids
        self.look()

    def ended(self) -> None:
        """Some trial has ended. Which one, NNI does not know."""
        self._asked = -math.inf
        self.look()

    def reported(self, uid: Any) -> None:
        """A trial says that it has recorded this offspring, which other machines may see a while later."""
        if uid in self._under_way:
            self._reported.setdefault(uid, self.clock())

    # What it does

    def fail(self, error: Exception | str) -> None:
        """End the experiment in ERROR with this reason."""
        if isinstance(error, Exception):
            _log.error("the tuner failed", exc_info=error)
        self.error = " ".join(str(error).split()) or type(error).__name__
        self._report()

    def _report(self) -> None:
        if self._send is not None:
            say(self.error)
            self._send.__self__.report_error(self.error)

    def _keep_looking(self) -> None:
        while self.error is None:
            time.sleep(LOOK if not self._finished else ASK)
            with self.lock:
                try:
                    if self._finished:
                        self._end_idle_jobs()
                    elif self._started and self.error is None:
                        self.look()
                except Exception as error:
                    self.fail(error)

    def _end_idle_jobs(self) -> None:
        """Once all is over, a job that still waits for parameters would keep the experiment from its end for ever."""
        try:
            for job in self.manager.jobs():
                if job.alive and not self._lineage.claims_of(job.id):
                    self.manager.cancel(job.id)
        except OSError:
            pass  # the manager may be gone by now

    def look(self) -> None:
        """See what became of the offspring under way; close the generation, and open the next, when it is time."""
        if not self._started and self._send is not None:
            self._started = True
            self._open(self._next())
        while self.error is None and not self._finished and self._under_way and self._is_over():
            self._open(self._next([uid for uid in self._under_way if self._settled(uid)]))
        self._send_what_waits()

    def _open(self, parameters: list[dict] | str) -> None:
        if isinstance(parameters, str):
            return self._finish(parameters)
        self._under_way = {p["uid"]: p for p in parameters}
        self._tries, self._done = dict.fromkeys(self._under_way, 0), set()
        self._sent, self._taken, self._reported = {}, {}, {}
        self._lineage.update_state(
            incarnation=self._incarnation, generation=parameters[0]["generation"], finished=None
        )
        self._todo = [uid for uid in self._under_way if not self._settled(uid)]
        return None

    def _finish(self, reason: str) -> None:
        self._under_way, self._todo = {}, []
        self._lineage.update_state(incarnation=self._incarnation, finished=reason)
        _log.info("the evolution ends: %s", reason)
        for wait in (1, 2, 4, 8, None):  # a manager under load may not answer at once
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

    def _send_what_waits(self) -> None:
        while self._todo and self._credits and self.error is None:
            uid, credit = self._todo.pop(0), self._credits.pop(0)
            self._sent[uid] = self.clock()
            self._send(
                credit,
                {
                    **self._under_way[uid],
                    "incarnation": self._incarnation,
                    "attempt": self._attempt(uid),
                    "lineage": str(self._lineage.folder.resolve()),
                    "time_limit": self._time_limit,
                },
            )

    def _attempt(self, uid: str) -> str:
        return f"{self._incarnation}.{self._tries[uid]}"

    def _settled(self, uid: str) -> bool:
        if uid not in self._done and (
            self._lineage.sound(uid) is not None or self._lineage.failure(uid) is not None
        ):
            self._done.add(uid)
        return uid in self._done

    def _is_over(self) -> bool:
        """Whether the generation may close. What vanished is sent again, or noted as lost."""
        self._stop_on_fatal_failure()
        still = [uid for uid in self._under_way if not self._settled(uid)]
        if still and self.error is None and self.clock() - self._asked >= ASK:
            self._asked = self.clock()
            try:
                self._find_the_vanished([uid for uid in still if uid not in self._todo])
            except OSError as error:  # the manager is busy: ask again later
                _log.warning("NNI's manager does not answer: %s", error)
            still = [uid for uid in still if not self._settled(uid)]
        done = len(self._under_way) - len(still)
        enough = done >= self._quorum * len(self._under_way) and any(
            self._lineage.failure(uid) is None for uid in self._done
        )
        return self.error is None and (not still or enough)

    def _find_the_vanished(self, uids: list[str]) -> None:
        """Of offspring sent and not heard of, find those whose job is gone, or that no job is left to take."""
        claims = {uid: self._lineage.claimant(uid, self._attempt(uid)) for uid in uids}
        found = {uid: self.manager.job(job) for uid, job in claims.items() if job is not None}
        untaken = {
            uid for uid in uids if claims[uid] is None and self.clock() - self._sent[uid] > SUBMIT
        }
        if untaken:
            untaken &= self._without_takers(set(claims.values()))
        if self.manager.stopping():  # it ends its trials one by one, and this process last
            return
        for uid, job in found.items():
            self._taken.setdefault(uid, self.clock())
            overstayed = self.clock() - self._taken[uid] - OVERTIME
            if self._settled(uid) or self.clock() - self._reported.get(uid, -math.inf) < VISIBLE:
                continue
            if self._time_limit is not None and overstayed > self._time_limit:
                self._lineage.add_failure(
                    uid, f"took longer than the time limit of {self._time_limit:g} s"
                )
            elif job is not None and not job.alive and self.manager.cancelled_by_user(job.id):
                self._lineage.add_failure(uid, "was stopped by the user")
            elif job is None or not job.alive:
                self._send_again_or_bury(uid, job.id if job else None, 1, "its process was killed")
        for uid in untaken:
            self._send_again_or_bury(
                uid, None, self._retries, "its process ended before it asked for its parameters"
            )

    def _without_takers(self, claimants: set) -> set[str]:
        """Offspring whose parameters have become a job, while no job is left that could yet take them."""
        jobs = self.manager.jobs()
        self._busy = {job.id for job in jobs if job.alive and job.id in self._busy | claimants}
        if any(job.alive and job.id not in self._busy for job in jobs):
            return set()
        submitted = [job.parameters for job in jobs if isinstance(job.parameters, dict)]
        return {
            p.get("uid")
            for p in submitted
            if p.get("uid") in self._under_way
            and (p.get("incarnation"), p.get("attempt"))
            == (self._incarnation, self._attempt(p["uid"]))
        }

    def _send_again_or_bury(self, uid: str, job: str | None, retries: int, otherwise: str) -> None:
        if self._tries[uid] < min(retries, self._retries):
            self._tries[uid] += 1
            self._taken.pop(uid, None)
            self._todo.append(uid)
        else:
            words = self.manager.last_words(job)
            self._lineage.add_failure(uid, f"its process ended: {words}" if words else otherwise)

    def _stop_on_fatal_failure(self) -> None:
        for uid in self._under_way:
            failure = self._lineage.failure(uid)
            if failure and failure["fatal"]:
                return self.fail(failure["reason"])
        return None
