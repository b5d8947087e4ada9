"""Bookkeeping of the generation under way: which offspring were sent, taken, reported, or ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ..lineage.store import Lineage
from ..lineage.trial_spec import Delivery, TrialSpec


@dataclass
class OffspringUnderWay:
    """One offspring of the generation under way. All times are those of the barrier's clock.

    Parameters
    ----------
    spec
        What its trial is told.
    tries
        How often it was sent again.
    sent, taken, reported
        When it was sent, when it was first seen to be taken by a trial, and when a trial reported
        its result; None: not yet.

    Examples
    --------
    >>> OffspringUnderWay(TrialSpec("g000-00", 0, None, None, 0, {})).tries
    0
    """

    spec: TrialSpec
    tries: int = 0
    sent: float | None = None
    taken: float | None = None
    reported: float | None = None

    @property
    def uid(self) -> str:
        """Name of the offspring."""
        return self.spec.uid


class GenerationUnderWay:
    """The offspring of one generation, from the plan until the generation closes.

    Parameters
    ----------
    lineage
        Where trials put their results.
    specs
        The generation's offspring, in the order in which they are sent.
    incarnation
        Number of this tuner among those that worked on the lineage.
    time_limit
        Seconds that a trial may take; None: any time.

    Examples
    --------
    >>> founder = TrialSpec("g000-00", 0, None, None, 0, {})
    >>> generation = GenerationUnderWay(Lineage("/nonexistent"), [founder], 0, None)
    >>> generation.next_to_send(now=0.0).delivery.attempt
    '0.0'
    >>> [offspring.uid for offspring in generation.sent_and_open()]
    ['g000-00']
    """

    def __init__(
        self,
        lineage: Lineage,
        specs: Iterable[TrialSpec],
        incarnation: int,
        time_limit: float | None,
    ):
        self._lineage = lineage
        self._incarnation = incarnation
        self._time_limit = time_limit
        self._offspring = {spec.uid: OffspringUnderWay(spec) for spec in specs}
        self._settled: set[str] = set()
        self._queue = deque(uid for uid in self._offspring if not self.is_settled(uid))

    def __len__(self) -> int:
        return len(self._offspring)

    def __contains__(self, uid: object) -> bool:
        return uid in self._offspring

    @property
    def number(self) -> int:
        """Number of the generation."""
        return next(iter(self._offspring.values())).spec.generation

    def attempt(self, uid: str) -> str:
        """Name of an offspring's latest attempt, as a trial claims it."""
        return f"{self._incarnation}.{self._offspring[uid].tries}"

    def is_settled(self, uid: str) -> bool:
        """Whether an offspring has a record or a failure."""
        if uid not in self._settled and (
            self._lineage.sound(uid) is not None or self._lineage.failure(uid) is not None
        ):
            self._settled.add(uid)
        return uid in self._settled

    def settled(self) -> list[str]:
        """Names of the offspring that have a record or a failure."""
        return [uid for uid in self._offspring if self.is_settled(uid)]

    def sent_and_open(self) -> list[OffspringUnderWay]:
        """The offspring that were sent, and have neither a record nor a failure."""
        return [
            offspring
            for uid, offspring in self._offspring.items()
            if uid not in self._queue and not self.is_settled(uid)
        ]

    def fatal_failure(self) -> str | None:
        """The reason of a failure that every other offspring would share; None if there is none."""
        for uid in self._offspring:
            failure = self._lineage.failure(uid)
            if failure is not None and failure["fatal"]:
                return str(failure["reason"])
        return None

    def may_close(self, settled: Collection[str], quorum: float) -> bool:
        """Whether all offspring have ended, or a share of them, at least one with a record.

        Parameters
        ----------
        settled
            Names of those that have ended.
        quorum
            The share.
        """
        if len(settled) == len(self._offspring):
            return True
        return len(settled) >= quorum * len(self._offspring) and any(
            self._lineage.failure(uid) is None for uid in settled
        )

    @property
    def has_waiting(self) -> bool:
        """Whether an offspring waits to be sent."""
        return bool(self._queue)

    def next_to_send(self, now: float) -> TrialSpec:
        """Take the next offspring to be sent from the queue."""
        uid = self._queue.popleft()
        offspring = self._offspring[uid]
        offspring.sent = now
        folder = str(self._lineage.folder.resolve())
        return offspring.spec.addressed(
            Delivery(self._incarnation, self.attempt(uid), folder, self._time_limit)
        )

    def send_again(self, uid: str) -> None:
        """Put an offspring whose trial vanished at the end of the queue."""
        offspring = self._offspring[uid]
        offspring.tries += 1
        offspring.taken = None
        self._queue.append(uid)

    def report(self, uid: object, now: float) -> None:
        """Note that a trial says it has recorded an offspring, which may be seen only later."""
        if isinstance(uid, str) and uid in self._offspring:
            offspring = self._offspring[uid]
            offspring.reported = now if offspring.reported is None else offspring.reported
