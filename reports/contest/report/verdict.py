"""The verdict of each axis: where the evolution is ahead of the best rival, and where behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from ...significance import LEVEL, corrected
from ..plan import EVOLUTION, Axis
from .facts import Comparison, Entry, count_rivals, rival
from .statistics import Effect, welch


class Claim(Enum):
    """What the evolution is, compared with the best rival; the most serious comes first."""

    BEHIND = "behind"
    OPEN = "not established"
    UNKNOWN = "too few records"
    AHEAD = "ahead"


class Judgement(NamedTuple):
    """The evolution and the best rival at one budget, or over all budgets.

    Attributes
    ----------
    budgets
        The budget, or all budgets.
    rivals
        The rival of each of them.
    effect
        The evolution's test fidelity minus the rival's.
    p
        The p value that decides: of the evolution's lead, corrected for the number of budgets; of
        the rival's, not less than p times the number of rivals that it was picked among.
    claim
        What is claimed.
    """

    budgets: Sequence[float]
    rivals: Sequence[str]
    effect: Effect | None
    p: float | None
    claim: Claim


class Verdict(NamedTuple):
    """The verdict of an axis.

    Attributes
    ----------
    resource
        Of the axis.
    judgements
        One for each budget.
    pooled
        Over all budgets together; None where the axis has one budget only.
    """

    resource: str
    judgements: Sequence[Judgement]
    pooled: Judgement | None

    @property
    def claims(self) -> list[Claim]:
        """What is claimed at the budgets, the most serious first."""
        found = {judgement.claim for judgement in self.judgements}
        return [claim for claim in Claim if claim in found]


def verdicts(facts: Comparison) -> list[Verdict]:
    """Judge all axes; those on which the evolution is behind come first, then the open ones."""
    serious = list(Claim)
    found = [verdict(facts, axis) for axis in facts.axes]
    return sorted(found, key=lambda one: serious.index(one.claims[0]))


def verdict(facts: Comparison, axis: Axis) -> Verdict:
    """Judge the evolution against the best rival at each budget of an axis.

    The rival is the best on validation data; the test is Welch's, on test data. Its p is corrected
    for the number of budgets (Holm). A rival was picked among several, and its validation fidelity
    shares most of its noise with its test fidelity: so its lead counts only if p times their number
    is below the level, too.
    """
    pairs = [
        (facts.entry(axis.resource, budget, EVOLUTION), rival(facts.entries, axis.resource, budget))
        for budget in axis.budgets
    ]
    effects = [None if other is None else other.lead for _, other in pairs]
    p_values = corrected([effect and effect.p for effect in effects])
    judgements = []
    for budget, (_, other), effect, p in zip(axis.budgets, pairs, effects, p_values):
        names = [] if other is None else [other.key.method]
        picked = count_rivals(facts.entries, axis.resource, budget)
        judgements.append(_judgement([budget], names, effect, p, picked))
    return Verdict(axis.resource, judgements, _pooled(facts, axis, pairs))


def _judgement(
    budgets: Sequence[float],
    rivals: Sequence[str],
    effect: Effect | None,
    p: float | None,
    picked: int,
) -> Judgement:
    """What p, corrected for the number of budgets, and the number of rivals allow to claim."""
    if effect is None or effect.p is None or p is None:
        return Judgement(budgets, rivals, effect, None, Claim.UNKNOWN)
    if effect.mean < 0:
        p = max(p, min(1.0, effect.p * picked))
    claim = Claim.OPEN
    if p < LEVEL and effect.mean != 0:
        claim = Claim.AHEAD if effect.mean > 0 else Claim.BEHIND
    return Judgement(budgets, rivals, effect, p, claim)


def _pooled(
    facts: Comparison, axis: Axis, pairs: Sequence[tuple[Entry, Entry | None]]
) -> Judgement | None:
    """Judge all budgets of an axis together.

    Of each seed, the evolution's test fidelity is averaged over the budgets; and that of the
    rivals, at each budget of the one that is best there on validation data. Welch's test compares
    both averages over the seeds that have a record at every budget. As a rival was picked at each
    budget, p of the rivals' lead is multiplied by the number of ways to pick them all.
    """
    if len(pairs) < 2:
        return None
    own = [entry for entry, _ in pairs]
    others = [other for _, other in pairs if other is not None]
    if len(others) < len(own):
        return _judgement(axis.budgets, [], None, None, 1)
    effect = welch(_averages(own), _averages(others))
    picked = math.prod(
        count_rivals(facts.entries, axis.resource, budget) for budget in axis.budgets
    )
    rivals = [other.key.method for other in others]
    return _judgement(axis.budgets, rivals, effect, effect and effect.p, picked)


def _averages(entries: Sequence[Entry]) -> list[float]:
    """Test fidelity of each seed, averaged over budgets, of the seeds that have all."""
    seeds = set.intersection(*(set(entry.records) for entry in entries))
    return [
        math.fsum(entry.records[seed].test for entry in entries) / len(entries)
        for seed in sorted(seeds)
    ]
