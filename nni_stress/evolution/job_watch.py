"""Finds offspring whose trials vanished, from the manager's list of jobs."""

from __future__ import annotations

from collections.abc import Callable

from ..lineage.store import Lineage
from ..nni_runtime.manager import Job, Manager
from .under_way import GenerationUnderWay, OffspringUnderWay

# Seconds that a reported result may take to be seen on a shared disk.
VISIBLE = 120.0
# Seconds that a trial may exceed its time limit before it is given up.
OVERTIME = 60.0
# Seconds that the manager may take to make a job of parameters that it was sent.
SUBMIT = 5.0
# Seconds that a running job may take to ask for its parameters while others wait to be taken. If a
# stranger took them from NNI's queue, it would wait for ever.
IDLE = 1800.0


class JobWatch:
    """Sends offspring again whose trials vanished, or notes them as lost.

    Parameters
    ----------
    lineage
        Where claims and failures are noted.
    incarnation
        Number of this tuner among those that worked on the lineage.
    time_limit
        Seconds that a trial may take; None: any time.
    retries
        How often an offspring is sent again whose process vanished, or ended before it asked for
        its parameters.
    clock
        Gives the time in seconds.

    Examples
    --------
    >>> import time
    >>> watch = JobWatch(Lineage("/nonexistent"), 0, None, 2, time.monotonic)
    """

    def __init__(
        self,
        lineage: Lineage,
        incarnation: int,
        time_limit: float | None,
        retries: int,
        clock: Callable[[], float],
    ):
        self._lineage = lineage
        self._incarnation = incarnation
        self._time_limit = time_limit
        self._retries = retries
        self._clock = clock
        self._busy: set[str] = set()  # living jobs that have taken an offspring
        self._idle: dict[str, float] = {}  # running jobs that have not, and since when

    def look(self, generation: GenerationUnderWay, manager: Manager) -> None:
        """Find the offspring whose job is gone, or that no job is left to take.

        Raises
        ------
        OSError
            If the manager does not answer.
        """
        offspring = {sent.uid: sent for sent in generation.sent_and_open()}
        claims = {uid: self._lineage.claimant(uid, generation.attempt(uid)) for uid in offspring}
        jobs = {uid: manager.job(job) for uid, job in claims.items() if job is not None}
        untaken = [
            uid
            for uid, job in claims.items()
            if job is None and self._clock() - (offspring[uid].sent or 0.0) > SUBMIT
        ]
        if untaken:
            orphans = self._without_takers(
                generation, manager, {job for job in claims.values() if job is not None}
            )
            untaken = [uid for uid in untaken if uid in orphans]
        if manager.stopping():  # it ends its trials one by one, and this process last
            return
        for uid, job in jobs.items():
            self._judge(generation, offspring[uid], job, manager)
        for uid in untaken:
            self._retry_or_give_up(
                generation,
                offspring[uid],
                None,
                self._retries,
                "its process ended before it asked for its parameters",
                manager,
            )

    def cancel_idle_jobs(self, manager: Manager) -> None:
        """Cancel jobs that still wait for parameters: they would keep an experiment from its end.

        Raises
        ------
        OSError
            If the manager does not answer.
        """
        for job in manager.jobs():
            if job.alive and not self._lineage.claims_of(job.id):
                manager.cancel(job.id)

    def waits_for_disk(self, generation: GenerationUnderWay) -> bool:
        """Whether a trial has reported a result that a shared disk may still hide."""
        return any(map(self._is_visible_soon, generation.sent_and_open()))

    def _is_visible_soon(self, offspring: OffspringUnderWay) -> bool:
        return offspring.reported is not None and self._clock() - offspring.reported < VISIBLE

    def _judge(
        self,
        generation: GenerationUnderWay,
        offspring: OffspringUnderWay,
        job: Job | None,
        manager: Manager,
    ) -> None:
        """Decide about an offspring that a job has taken; None: one that NNI does not know."""
        uid = offspring.uid
        now = self._clock()
        offspring.taken = now if offspring.taken is None else offspring.taken
        if generation.is_settled(uid) or self._is_visible_soon(offspring):
            return
        limit = self._time_limit
        if limit is not None and now - offspring.taken - OVERTIME > limit:
            self._lineage.add_failure(uid, f"took longer than the time limit of {limit:g} s")
        elif job is not None and not job.alive and manager.cancelled_by_user(job.id):
            self._lineage.add_failure(uid, "was stopped by the user")
        elif job is None or not job.alive:
            self._retry_or_give_up(
                generation,
                offspring,
                job.id if job else None,
                1,
                "its process was killed",
                manager,
            )

    def _without_takers(
        self, generation: GenerationUnderWay, manager: Manager, claimants: set[str]
    ) -> set[str]:
        """Offspring whose parameters have become a job, while no job is left to take them."""
        jobs = manager.jobs()
        self._busy = {job.id for job in jobs if job.alive and job.id in self._busy | claimants}
        waiting = [job for job in jobs if job.alive and job.id not in self._busy]
        if waiting:
            self._cancel_idle(waiting, manager)
            return set()
        submitted = [job.parameters for job in jobs if isinstance(job.parameters, dict)]
        return {
            parameters["uid"]
            for parameters in submitted
            if parameters.get("uid") in generation
            and parameters.get("incarnation") == self._incarnation
            and parameters.get("attempt") == generation.attempt(parameters["uid"])
        }

    def _cancel_idle(self, waiting: list[Job], manager: Manager) -> None:
        """Cancel the jobs that have waited for parameters too long."""
        now = self._clock()
        running = [job.id for job in waiting if job.status == "RUNNING"]
        self._idle = {id: self._idle.get(id, now) for id in running}
        for id, since in self._idle.items():
            if now - since > IDLE:
                manager.cancel(id)

    def _retry_or_give_up(
        self,
        generation: GenerationUnderWay,
        offspring: OffspringUnderWay,
        job: str | None,
        retries: int,
        reason: str,
        manager: Manager,
    ) -> None:
        """Send an offspring again, or note it as lost: with its job's last words, or the reason."""
        if offspring.tries < min(retries, self._retries):
            generation.send_again(offspring.uid)
            return
        words = manager.last_words(job)
        self._lineage.add_failure(offspring.uid, f"its process ended: {words}" if words else reason)
