"""What a tuner's process knows of the generations that have ended."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping

from ..lineage.planned_generation import PlannedGeneration
from ..lineage.record import Record
from ..lineage.uid import FOUNDER
from . import selection
from .rules import Plan, Rules
from .search import Observation

# Number of the latest observations that the search is told: the time and memory of a suggestion
# grow with them.
MOST_OBSERVATIONS = 2000


class History:
    """Survivors and observations of all generations that have ended.

    Of a generation only the survivors are kept in memory, because only they can have offspring.

    Parameters
    ----------
    rules
        The rules of the evolution.

    Examples
    --------
    >>> History(Rules(generations=4, tolerance=0.01)).number
    0
    """

    def __init__(self, rules: Rules):
        self._rules = rules
        self._generations: list[list[Record]] = []
        self._matured = False  # whether the last generation is a maturation
        # Suggestions as JSON text, which takes the least memory, with their fitness.
        self._observations: deque[tuple[str, float]] = deque(maxlen=MOST_OBSERVATIONS)

    @property
    def number(self) -> int:
        """Number of the coming generation."""
        return len(self._generations)

    def clear(self) -> None:
        """Forget everything, to be read from disk again."""
        self._generations = []
        self._matured = False
        self._observations.clear()

    def known(self) -> dict[str, Record]:
        """Records of the founder and of all survivors, by name."""
        return {record.uid: record for generation in self._generations for record in generation}

    def observations(self) -> list[Observation]:
        """What the search may learn from, the oldest first."""
        return [
            Observation(json.loads(suggestion), fitness)
            for suggestion, fitness in self._observations
        ]

    def plan(self) -> Plan:
        """What follows the generations, a maturation apart."""
        evolved = self._generations[:-1] if self._matured else self._generations
        return selection.plan(evolved, self._rules)

    @property
    def matured(self) -> bool:
        """Whether the evolution has matured, which is its last step."""
        return self._matured

    def add(self, planned: PlannedGeneration, records: Mapping[str, Record | None]) -> None:
        """Add a generation that has ended.

        Parameters
        ----------
        planned
            The generation.
        records
            Records of the offspring that count, by name; None for those that were lost.
        """
        known = self.known()
        for spec, suggestion in zip(planned.offspring, planned.suggestions):
            record = records.get(spec.uid)
            if record is None or record.ancestor is None or suggestion is None:
                continue
            fitness = selection.fitness(record, known[record.ancestor], known[FOUNDER], self._rules)
            self._observations.append((json.dumps(suggestion), fitness))
        kept = [record for record in records.values() if record is not None]
        survivors = selection.survivors([*self._generations, kept], self._rules)
        self._generations.append(survivors[-1])
        self._matured = planned.matures
