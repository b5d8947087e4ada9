"""The facts of a comparison, as named tuples; whatever is drawn or printed shows these."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from .collect import Outcome, Results
from .contest import ABLATIONS, EVOLUTION, UNSTRUCTURED, Cell, pruner_of
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

LOSSES = (0.005, 0.01, 0.02)  # of the founder's test fidelity, at which efficiency is asked for
FLOOR = 0.1  # loss from which on a network counts for nothing in the hypervolume


class Entry(NamedTuple):
    """One method at one budget.

    `test` over the seeds, None where there is no outcome at all; `against`: the evolution's test fidelity less this
    method's, `p` that difference's, corrected for all that are made; `claim`: "better" or "worse" (the evolution is),
    "no difference", or "" where nothing was compared.
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
    """One method over all budgets: efficiency kept at each loss (and whether that is a lower bound), fidelity at each budget
    by interpolation, hypervolume; each a median with its interval, None where no seed has it.
    """

    method: str
    efficiency: dict[float, tuple[Interval, bool] | None]
    fidelity: dict[float, Interval | None]
    hypervolume: Interval | None


class Comparison(NamedTuple):
    """All facts of a contest."""

    results: Results
    entries: dict[tuple[str, float], Entry]
    frontiers: dict[str, Frontier]
    verdict: str
    details: list[str]

    @property
    def methods(self) -> list[str]:
        return list(self.results.contest.methods)

    @property
    def budgets(self) -> list[float]:
        return list(self.results.contest.budgets)


def compare(results: Results) -> Comparison:
    """Compare the evolution with every other method, at every budget."""
    contest = results.contest
    raw = {}
    for method in contest.methods:
        for budget in contest.budgets:
            outcomes = {
                seed: results.outcomes[cell]
                for seed in contest.seeds
                if (cell := Cell(method, budget, seed)) in results.outcomes
            }
            raw[method, budget] = outcomes
    differences = {
        key: None
        if key[0] == EVOLUTION
        else difference(_tests(raw.get((EVOLUTION, key[1]), {})), _tests(outcomes))
        for key, outcomes in raw.items()
    }
    ps = dict(zip(differences, corrected([one and one.p for one in differences.values()])))
    entries = {}
    for (method, budget), outcomes in raw.items():
        against, p = differences[method, budget], ps[method, budget]
        missing = [seed for seed in contest.seeds if seed not in outcomes]
        test = interval([one.chosen.test for one in outcomes.values()]) if outcomes else None
        entries[method, budget] = Entry(
            method, budget, outcomes, missing, test, against, p, _claim(against, p)
        )
    frontiers = {method: _frontier(results, method) for method in contest.methods}
    verdict, details = _verdict(results, entries)
    return Comparison(results, entries, frontiers, verdict, details)


def _tests(outcomes: dict[int, Outcome]) -> dict[int, float]:
    return {seed: outcome.chosen.test for seed, outcome in outcomes.items()}


def _claim(against: Difference | None, p: float | None) -> str:
    if against is None or p is None:
        return ""
    if p >= LEVEL or against.mean == 0:
        return "no difference"
    return "better" if against.mean > 0 else "worse"


def _frontier(results: Results, method: str) -> Frontier:
    contest, founder = results.contest, results.founder
    per_seed = []
    for seed in contest.seeds:
        points = [
            (o.chosen.efficiency, o.chosen.test)
            for c, o in results.outcomes.items()
            if (c.method, c.seed) == (method, seed)
        ]
        if points:
            per_seed.append([(1.0, founder["test"]), *points])
    kept = {}
    for loss in LOSSES:
        found = [
            one for points in per_seed if (one := efficiency_at(points, founder["test"] - loss))
        ]
        bounds = any(beyond for _, beyond in found)
        kept[loss] = (interval([efficiency for efficiency, _ in found]), bounds) if found else None
    at = {}
    for budget in contest.budgets:
        values = [one for points in per_seed if (one := fidelity_at(points, budget)) is not None]
        at[budget] = interval(values) if values else None
    areas = [
        hypervolume(points, founder["test"], founder["test"] - FLOOR, max(contest.budgets))
        for points in per_seed
    ]
    return Frontier(method, kept, at, interval(areas) if areas else None)


def rival(entries: dict, budget: float, structured: bool = False) -> Entry | None:
    """Of NNI's own pruners, or of those that make a network small, the one of highest median test fidelity at a budget."""
    found = [
        entry
        for entry in entries.values()
        if entry.budget == budget
        and entry.method not in ABLATIONS
        and entry.test
        and not (structured and _unstructured(entry))
    ]
    return max(found, key=lambda entry: entry.test.median, default=None)


def _unstructured(entry: Entry) -> bool:
    return pruner_of(entry.method) in UNSTRUCTURED


def beaten(entries: dict, budgets: Sequence[float]) -> dict[float, float | None]:
    """For each budget p of the evolution being better than every one of NNI's own pruners, corrected for the budgets.

    To beat the best is to beat each: the largest of their p values is that of the whole (Berger 1982), and needs no
    correction for their number. None where there is nothing to compare with.
    """
    largest: list[float | None] = []
    for budget in budgets:
        rivals = (
            e.against for e in entries.values() if e.budget == budget and e.method not in ABLATIONS
        )
        pairs = [one for one in rivals if one is not None and one.p is not None]
        largest.append(max((1.0 if one.mean <= 0 else one.p for one in pairs), default=None))
    return dict(zip(budgets, corrected(largest)))


def _verdict(results: Results, entries: dict) -> tuple[str, list[str]]:
    """One sentence on the evolution against the best built-in pruner of each budget, and a line for each budget."""
    contest = results.contest
    if EVOLUTION not in contest.methods:
        return "This contest has no evolution to judge.", []
    claims: dict[str, list[str]] = {"better": [], "no difference": [], "": []}
    worse: dict[str, list[str]] = {}  # {to whom: at which budgets}
    gains, details, wins = [], [], beaten(entries, contest.budgets)
    for budget in contest.budgets:
        own, other = entries[EVOLUTION, budget], rival(entries, budget)
        if own.test is None or other is None or other.against is None:
            claims[""].append(f"{budget:g}x")
            details.append(
                f"{budget:g}x: not to be said yet, as there are no pairs of records to compare."
            )
            continue
        won = wins[budget] is not None and wins[budget] < LEVEL
        if other.claim == "worse":
            name = (
                f"{other.method}, whose network keeps its size,"
                if _unstructured(other)
                else other.method
            )
            worse.setdefault(name, []).append(f"{budget:g}x")
        else:
            claims["better" if won else "no difference" if other.claim else ""].append(
                f"{budget:g}x"
            )
        gains.append(100 * other.against.mean)
        details.append(
            f"{budget:g}x: evolution {_points(own.test)}, best of NNI's own {other.method} {_points(other.test)}; "
            f"{100 * other.against.mean:+.2f} points over {other.against.pairs} seeds"
            f"{_chance(wins[budget] if other.against.mean > 0 else other.p)}{_among_small(entries, budget, other)}."
        )
    parts = []
    if claims["better"]:
        parts.append(
            f"the evolution beats the best of NNI's own pruners at {_and(claims['better'])}"
        )
    if worse:
        losses = _and([f"to {method} at {_and(budgets)}" for method, budgets in worse.items()])
        parts.append(f"{'it ' if parts else 'the evolution '}loses {losses}")
    if claims["no difference"]:
        words = "" if parts else "from the best of NNI's own pruners "
        parts.append(f"at {_and(claims['no difference'])} the difference {words}is within noise")
    if claims[""]:
        parts.append(f"at {_and(claims[''])} there is too little to judge by")
    sentence = "; ".join(parts)
    if gains:
        sentence += f" (mean differences {', '.join(f'{gain:+.2f}' for gain in gains)} points of test fidelity; "
        sentence += f"claims at p < {LEVEL:g}, paired over {len(contest.seeds)} seeds, corrected for their number)"
    return sentence[0].upper() + sentence[1:] + ".", details


def _among_small(entries: dict, budget: float, best: Entry) -> str:
    """What is to be added where the best leaves the network its size: how the others fare."""
    small = rival(entries, budget, structured=True)
    if not _unstructured(best) or small is None or small.against is None:
        return ""
    return (
        f"; of those that make the network small, {small.method} {_points(small.test)}; {100 * small.against.mean:+.2f} points"
        f"{_chance(small.p)}"
    )


def _chance(p: float | None) -> str:
    return "" if p is None else f", p {p:.3f}" if p >= 0.001 else ", p < 0.001"


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _points(found: Interval) -> str:
    bounds = "" if found.low is None else f" [{100 * found.low:.2f}, {100 * found.high:.2f}]"
    return f"{100 * found.median:.2f} %{bounds}"


def median_or_none(values) -> float | None:
    """The median of what is there."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
