"""Takes a lineage from generation to generation, as far as its files on disk allow."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..lineage.planned_generation import PlannedGeneration
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..nni_runtime.manager import say
from . import early_stopping
from .history import History
from .planner import Planner


class RetryPolicy:
    """Lets offspring that were lost in an earlier session be made again, once per generation.

    Parameters
    ----------
    lineage
        Where failures are noted.

    Examples
    --------
    >>> RetryPolicy(Lineage("/nonexistent")).apply(1, ["g001-00"], any_reason=True)
    """

    def __init__(self, lineage: Lineage):
        self._lineage = lineage
        self._done: set[int] = set()  # generations that this process has seen

    def apply(self, number: int, uids: Collection[str], any_reason: bool) -> None:
        """Let lost offspring be made again, unless this process has done so for the generation.

        Parameters
        ----------
        number
            Number of the generation.
        uids
            Names of its offspring.
        any_reason
            Whether the reason of a loss is ignored. Otherwise only failures are retried that had a
            cause shared by all offspring: fatal ones, and those of a generation lost as a whole.
        """
        if number in self._done:
            return
        self._done.add(number)
        failures = {uid: self._lineage.failure(uid) for uid in uids}
        for uid, failure in failures.items():
            if failure is not None and (any_reason or failure["fatal"] or all(failures.values())):
                self._lineage.allow_retry(uid)


class Generations:
    """The generations of one evolution.

    All that happened before is read from the lineage on disk, so a resumed experiment continues
    where it was. What turns out to be damaged there is set aside, and made again.

    Parameters
    ----------
    lineage
        The lineage.
    planner
        Plans a generation that was not begun.

    Attributes
    ----------
    search_space
        NNI's search space, of which the coming generations are planned; None until it is known.

    Examples
    --------
    >>> import tempfile
    >>> from nni_stress.evolution.search import Search
    >>> from nni_stress.evolution.tuner_arguments import TunerArguments
    >>> arguments = TunerArguments()
    >>> planner = Planner(arguments, arguments.rules(), Search("Random"))
    >>> generations = Generations(Lineage(tempfile.mkdtemp()), planner)
    >>> [spec.uid for spec in generations.next()]
    ['g000-00']
    """

    def __init__(self, lineage: Lineage, planner: Planner):
        self.search_space: Mapping[str, Any] | None = None
        self._lineage = lineage
        self._planner = planner
        self._history = History(planner.rules)
        self._retries = RetryPolicy(lineage)

    def next(self, ended: Collection[str] | None = None) -> list[TrialSpec] | str:
        """The offspring of the coming generation, or why there is none.

        Parameters
        ----------
        ended
            Names of the offspring of the generation under way that have ended, and count. None at
            the start.

        Raises
        ------
        RuntimeError
            If all offspring of a generation were lost, or one that had been recorded was.
        """
        while True:
            number = self._history.number
            planned = self._lineage.planned_generation(number) or self._begin(number)
            if isinstance(planned, str):
                return planned
            specs = _counted(planned, ended)
            resumed = planned.closed is None and ended is None
            if resumed and not self._ancestors_are_sound(specs):
                self._history.clear()  # so that what is missing is made again first
                continue
            self._retry_failures(number, planned, specs)
            records = {spec.uid: self._lineage.sound(spec.uid) for spec in specs}
            if self._is_incomplete(records):
                return self._in_order(specs)
            self._refuse_losses(number, planned, records)
            self._history.add(planned, records)
            if planned.closed is None:
                self._warn(records.get(FOUNDER))
                kept = [uid for uid, record in records.items() if record is not None]
                self._write(number, planned.close(list(records), kept))
            ended = None

    def _begin(self, number: int) -> PlannedGeneration | str:
        """Plan a generation and write the plan, or say why the evolution ends."""
        if number == 0:
            planned = self._planner.founder(self.search_space)
        else:
            plan = self._history.plan()
            if plan.end is not None:
                return self._mature(plan.end)
            if self.search_space is None:
                raise RuntimeError(
                    "a generation cannot be planned before the search space is known"
                )
            planned = self._planner.generation(self._history, plan, self.search_space)
        self._write(number, planned)
        return planned

    def _mature(self, reason: str) -> PlannedGeneration | str:
        """Plan the maturation and write the plan, or say why the evolution ends."""
        if self._history.matured:
            return f"{reason}, and the best matured"
        planned = self._planner.maturation(self._counted_records())
        if planned is None:
            return reason
        self._write(self._history.number, planned)
        return planned

    def _counted_records(self) -> list[list[Record]]:
        """Records of each generation that ended, of the offspring that count."""
        found = []
        for number in range(self._history.number):
            planned = self._lineage.planned_generation(number)
            kept = () if planned is None else planned.kept
            records = map(self._lineage.sound, kept)
            found.append([record for record in records if record is not None])
        return found

    def _write(self, number: int, planned: PlannedGeneration) -> None:
        self._lineage.write_generation(number, planned.to_json())

    def _ancestors_are_sound(self, specs: Iterable[TrialSpec]) -> bool:
        ancestors = {uid for spec in specs for uid in spec.ancestors}
        return all(self._lineage.sound(uid, with_network=True) for uid in ancestors)

    def _retry_failures(
        self, number: int, planned: PlannedGeneration, specs: Iterable[TrialSpec]
    ) -> None:
        """Retry failures of earlier sessions; in a closed generation only those of lost records."""
        if planned.closed is None:
            self._retries.apply(number, [spec.uid for spec in specs], any_reason=False)
        else:
            self._retries.apply(number, planned.kept, any_reason=True)

    def _is_incomplete(self, records: Mapping[str, Record | None]) -> bool:
        """Whether an offspring has neither a record nor a failure."""
        return any(
            record is None and self._lineage.failure(uid) is None for uid, record in records.items()
        )

    def _refuse_losses(
        self, number: int, planned: PlannedGeneration, records: Mapping[str, Record | None]
    ) -> None:
        for uid in planned.kept:
            if records.get(uid) is None:
                reason = (self._lineage.failure(uid) or {}).get("reason")
                raise RuntimeError(
                    f"{uid} was lost after it was recorded, and when it was made again: {reason}"
                )
        if any(record is not None for record in records.values()):
            return
        failures = filter(None, map(self._lineage.failure, records))
        reasons = "; ".join(sorted({failure["reason"] for failure in failures}))
        if number == 0:
            raise RuntimeError(f"the founder was lost: {reasons}")
        raise RuntimeError(f"generation {number} lost all its offspring: {reasons}")

    def _warn(self, founder: Record | None) -> None:
        """Say once, when the founder's generation closes, that the tolerance may be wrong."""
        warning = None if founder is None else self._planner.rules.warning(founder.validation)
        if warning is not None:
            say(f"warning: {warning}")

    def _in_order(self, specs: Sequence[TrialSpec]) -> list[TrialSpec]:
        """The order in which a generation's offspring are sent."""
        if self._history.number == 0 or not any(spec.early_ending for spec in specs):
            return list(specs)
        return early_stopping.smallest_first(specs, self._history.known(), self._planner.rules)


def _counted(planned: PlannedGeneration, ended: Collection[str] | None) -> list[TrialSpec]:
    """The offspring that count: of a closed generation, those that counted when it closed."""
    counts = ended if planned.closed is None else planned.closed
    return [spec for spec in planned.offspring if counts is None or spec.uid in counts]
