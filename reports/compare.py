"""The facts of a comparison as named tuples, from which everything shown is made."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .collect import Outcome, Results
from .contest import EVOLUTION, Cell
from .significance import (
    LEVEL,
    Difference,
    Interval,
    corrected,
    difference,
    efficiency_at,
    fidelity_at,
    hypervolume,
    interval,
)
from .verdict import verdict

LOSSES = (0.005, 0.01, 0.02)  # of test fidelity, at which the efficiency is interpolated
FLOOR = 0.1  # loss of test fidelity below which the hypervolume counts nothing


class Entry(NamedTuple):
    """One method at one budget.

    Attributes
    ----------
    method, budget
        Which.
    outcomes
        {seed: outcome}.
    missing
        Seeds without an outcome.
    test
        Test fidelity over the seeds; None where there is no outcome.
    against
        The evolution's test fidelity minus this method's; None for the evolution itself, or where
        no seed has both.
    p
        p value of that difference, corrected for all differences of the contest.
    claim
        What the evolution is: "better", "worse", "no difference", or "" where it is not tested.
    """

    method: str
    budget: float
    outcomes: dict[int, Outcome]
    missing: list[int]
    test: Interval | None
    against: Difference | None
    p: float | None
    claim: str


class Frontier(NamedTuple):
    """One method over all budgets, each value a median over seeds; None where no seed has it.

    Attributes
    ----------
    method
        Which.
    efficiency
        {loss: (efficiency kept at that loss of test fidelity, whether it is a lower bound)}.
    fidelity
        {budget: test fidelity at that efficiency, by interpolation}.
    hypervolume
        See :func:`reports.significance.hypervolume`.
    """

    method: str
    efficiency: dict[float, tuple[Interval, bool] | None]
    fidelity: dict[float, Interval | None]
    hypervolume: Interval | None


class Comparison(NamedTuple):
    """All facts of a contest.

    Attributes
    ----------
    results
        What was recorded.
    entries
        {(method, budget): entry}.
    frontiers
        {method: frontier}.
    verdict
        One sentence.
    details
        A line for each budget.
    """

    results: Results
    entries: dict[tuple[str, float], Entry]
    frontiers: dict[str, Frontier]
    verdict: str
    details: list[str]

    @property
    def methods(self) -> list[str]:
        """All methods, in the order of the contest's file."""
        return list(self.results.contest.methods)

    @property
    def budgets(self) -> list[float]:
        """All budgets, in the order of the contest's file."""
        return list(self.results.contest.budgets)


def compare(results: Results) -> Comparison:
    """Compare the evolution with every other method, at every budget."""
    contest = results.contest
    entries = _entries(results)
    frontiers = {method: _frontier(results, method) for method in contest.methods}
    sentence, details = verdict(contest, entries)
    return Comparison(results, entries, frontiers, sentence, details)


def _entries(results: Results) -> dict[tuple[str, float], Entry]:
    contest = results.contest
    outcomes = {
        (method, budget): {
            seed: results.outcomes[cell]
            for seed in contest.seeds
            if (cell := Cell(method, budget, seed)) in results.outcomes
        }
        for method in contest.methods
        for budget in contest.budgets
    }
    differences = {
        (method, budget): None
        if method == EVOLUTION
        else difference(_tests(outcomes.get((EVOLUTION, budget), {})), _tests(by_seed))
        for (method, budget), by_seed in outcomes.items()
    }
    p_values = corrected([found and found.p for found in differences.values()])
    entries = {}
    for (key, by_seed), p in zip(outcomes.items(), p_values):
        entries[key] = Entry(
            *key,
            outcomes=by_seed,
            missing=[seed for seed in contest.seeds if seed not in by_seed],
            test=interval(list(_tests(by_seed).values())) if by_seed else None,
            against=differences[key],
            p=p,
            claim=_claim(differences[key], p),
        )
    return entries


def _tests(outcomes: Mapping[int, Outcome]) -> dict[int, float]:
    return {seed: outcome.chosen.test for seed, outcome in outcomes.items()}


def _claim(against: Difference | None, p: float | None) -> str:
    if against is None or p is None:
        return ""
    if p >= LEVEL or against.mean == 0:
        return "no difference"
    return "better" if against.mean > 0 else "worse"


def _frontier(results: Results, method: str) -> Frontier:
    contest, founder_test = results.contest, results.founder["test"]
    points_by_seed = []
    for seed in contest.seeds:
        points = [
            (outcome.chosen.efficiency, outcome.chosen.test)
            for cell, outcome in results.outcomes.items()
            if (cell.method, cell.seed) == (method, seed)
        ]
        if points:
            points_by_seed.append([(1.0, founder_test), *points])
    areas = [
        hypervolume(points, founder_test, founder_test - FLOOR, max(contest.budgets))
        for points in points_by_seed
    ]
    return Frontier(
        method,
        {loss: _efficiency(points_by_seed, founder_test - loss) for loss in LOSSES},
        {budget: _fidelity(points_by_seed, budget) for budget in contest.budgets},
        interval(areas) if areas else None,
    )


_Points = list[tuple[float, float]]  # (efficiency, test fidelity)


def _efficiency(points_by_seed: list[_Points], fidelity: float) -> tuple[Interval, bool] | None:
    found = [
        kept for points in points_by_seed if (kept := efficiency_at(points, fidelity)) is not None
    ]
    if not found:
        return None
    return interval([efficiency for efficiency, _ in found]), any(bound for _, bound in found)


def _fidelity(points_by_seed: list[_Points], budget: float) -> Interval | None:
    found = [
        fidelity
        for points in points_by_seed
        if (fidelity := fidelity_at(points, budget)) is not None
    ]
    return interval(found) if found else None


def median_or_none(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are not None; None where there is none.

    Examples
    --------
    >>> median_or_none([1.0, None, 3.0])
    2.0
    """
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
