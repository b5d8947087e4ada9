"""The contests: verdicts and tables of a recorded folder, and of their pilots."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from reports.claims import records_in
from reports.contest import pilot
from reports.contest.plan import EVOLUTION, RIVALS
from reports.contest.plan import PARTS as PARTS_OF_EVOLUTION
from reports.contest.records import collect
from reports.contest.report.facts import AXES, LESS, Comparison, Entry, Key, compare, rival
from reports.contest.report.fields import bounds
from reports.contest.report.sections import costs, differences, equal_seconds, fidelity, uses
from reports.contest.report.sentences import points, second_line, sentence
from reports.contest.report.tables import Block, markdown_block
from reports.contest.report.verdict import Claim, verdict, verdicts
from reports.contest.report.warnings import warnings
from reports.markdown import markdown_list, markdown_table

from .records import RESULTS, fixed, percent

_TABLES: dict[str, Callable[[Comparison], Block]] = {
    "fidelity": fidelity.block,
    "leads": differences.block,
    "equal seconds": equal_seconds.block,
    "costs": costs.block,
    "uses": uses.block,
}
PARTS = ("verdict", *_TABLES)
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def part(name: str, which: str, results: Path = RESULTS / "contest") -> str:
    """One part of a contest's report, for a page in docs/results.

    Headings are a level deeper; links lead to the records. Empty if the report has no such part.

    Parameters
    ----------
    name
        The contest's folder.
    which
        Of PARTS.
    results
        The folder that holds it.
    """
    facts = _facts(results / name)
    if which == "verdict":
        lines = [f"Warning: {line}" for line in warnings(facts)]
        for found in verdicts(facts):
            lines += filter(None, [sentence(found), second_line(found)])
        return markdown_list(lines)
    block = _TABLES[which](facts)
    texts = markdown_block(block) if block.tables else []
    text = "\n\n".join(map(_deeper, texts))
    return text.replace("](cells/", f"](../../reports/results/contest/{name}/cells/")


def summary(network: str, name: str) -> str:
    """The evolution and the best rival at every budget: test fidelity in percent, and the lead."""
    facts = _facts(RESULTS / "contest" / name)
    rows = [
        [
            f"{budget:g}x {LESS[axis.resource]}",
            _fidelity(facts.entry(axis.resource, budget, EVOLUTION)),
            f"{_fidelity(other)}, {other.key.method}",
            _lead(other),
        ]
        for axis in facts.axes
        for budget in axis.budgets
        if (other := rival(facts.entries, axis.resource, budget))
    ]
    return markdown_table([network, "evolution", "best rival", "lead in points"], rows)


def leads(name: str, resource: str) -> list[str]:
    """The evolution's lead over the rival at each budget of an axis, in points."""
    facts = _facts(RESULTS / "contest" / name)
    axis = next(one for one in facts.axes if one.resource == resource)
    effects = [one.effect for one in verdict(facts, axis).judgements]
    return [fixed(100 * effect.mean, 1) for effect in effects if effect]


def standings(name: str) -> list[str]:
    """At how many budgets the evolution is ahead, of how many, and how many are open; in words."""
    found = verdicts(_facts(RESULTS / "contest" / name))
    claims = [judgement.claim for one in found for judgement in one.judgements]
    return [_WORDS[n] for n in (claims.count(Claim.AHEAD), len(claims), claims.count(Claim.OPEN))]


def parts(name: str) -> str:
    """The evolution's lead over itself without its parts, at every budget, in points."""
    facts = _facts(RESULTS / "contest" / name)
    places = [(axis.resource, budget) for axis in facts.axes for budget in axis.budgets]
    head = ["", *(f"{AXES[resource]}, {budget:g}x" for resource, budget in places)]
    rows = [
        [method, *(_lead(facts.entries.get(Key(*place, method))) for place in places)]
        for method in PARTS_OF_EVOLUTION
        if any(method in axis.methods for axis in facts.axes)
    ]
    return markdown_table(head, rows)


def spread(name: str, resource: str, budget: float) -> str:
    """Best mean test fidelity of a rival minus the worst, at one budget, in points."""
    entries = _facts(RESULTS / "contest" / name).entries
    rivals = [entries.get(Key(resource, budget, method)) for method in RIVALS]
    means = [one.test.mean for one in rivals if one and one.test]
    return fixed(100 * (max(means) - min(means)), 1)


def diverged(name: str, resource: str, budget: float, method: str) -> list[str]:
    """How many final trainings of a method fell to chance for ten classes, and of how many."""
    entry = _facts(RESULTS / "contest" / name).entry(resource, budget, method)
    fallen = [record for record in entry.records.values() if min(record.curve) < 0.15]
    return [str(len(fallen)), str(len(entry.records))]


def pilot_table(name: str) -> str:
    """The final trainings that a contest's pilot tried."""
    return pilot.table(records_in(RESULTS / "contest_pilot" / name))


def _fidelity(entry: Entry) -> str:
    return percent(entry.test.mean, 2) if entry.test else ""


def _lead(entry: Entry | None) -> str:
    """The evolution's lead over an entry's method; empty where there is none."""
    lead = entry and entry.lead
    return f"{points(lead.mean)} ({bounds(lead, points)})" if lead else ""


@functools.cache
def _facts(folder: Path) -> Comparison:
    return compare(collect(folder))


def _deeper(text: str) -> str:
    return f"#{text}" if text.startswith("#") else text
