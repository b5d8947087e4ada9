"""What limits a verdict: too few seeds or founders, missing cells, mixed commits or machines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from nni_stress.utils.messages import short

from ..plan import EVOLUTION
from ..records import Record
from .facts import AXES, Comparison, Entry, machine_of, rival

SEEDS, FOUNDERS = 10, 3  # fewer are not enough for a verdict
_UNEVEN = 0.1  # shares of a method's cells that differ by more are unequally divided


def warnings(facts: Comparison) -> list[str]:
    """A line for everything that limits the verdict."""
    return [
        *_few(facts),
        *_missing(facts),
        *_mixed(facts, "commits", lambda record: short(record.origin.get("commit"))),
        *_mixed(facts, "machines", machine_of),
        *_mixed(facts, "numbers of threads", lambda record: short(record.origin.get("threads"))),
    ]


def _few(facts: Comparison) -> Iterable[str]:
    """Count what the verdict stands on: records of the evolution and of the rivals."""
    judged = list(_judged(facts))
    seeds = min((len(entry.records) for entry in judged), default=0)
    founders = min((_founders(entry) for entry in judged), default=0)
    if seeds < SEEDS:
        yield f"A verdict needs at least {SEEDS} seeds, but at some budget it has {seeds}."
    if founders < FOUNDERS:
        yield (
            f"A verdict needs at least {FOUNDERS} founders, but at some budget it has {founders}: "
            "what is claimed may not hold for others."
        )


def _judged(facts: Comparison) -> Iterable[Entry]:
    for axis in facts.axes:
        for budget in axis.budgets:
            yield facts.entry(axis.resource, budget, EVOLUTION)
            found = rival(facts.entries, axis.resource, budget)
            if found is not None:
                yield found


def _founders(entry: Entry) -> int:
    return len({record.cell.founder for record in entry.records.values()})


def _missing(facts: Comparison) -> Iterable[str]:
    missing = Counter[str]()
    for entry in facts.entries.values():
        missing[entry.key.method] += len(entry.missing)
    number = missing.total()
    if number:
        whole = sum(1 for _ in facts.results.contest.cells())
        methods = ", ".join(f"{name} {count}" for name, count in missing.most_common() if count)
        yield f"{number} of {whole} cells are missing: {methods}."


def _mixed(facts: Comparison, what: str, value: Callable[[Record], str]) -> Iterable[str]:
    """Warn of axes whose methods are not made of the same mixture of a value."""
    for axis in facts.axes:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for cell, record in facts.results.records.items():
            if cell.resource == axis.resource:
                counts[cell.method][value(record)] += 1
        values = {name for by_value in counts.values() for name in by_value}
        uneven = any(
            max(shares) - min(shares) > _UNEVEN
            for name in values
            if (shares := [count[name] / count.total() for count in counts.values()])
        )
        if uneven:
            yield (
                f"{AXES[axis.resource]}: the records are of {len(values)} {what}, unequally "
                "divided over the methods."
            )
