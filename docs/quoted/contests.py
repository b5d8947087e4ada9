"""The contests: verdicts and tables of a recorded folder, and of their pilots."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from reports.claims import records_in
from reports.contest import pilot
from reports.contest.records import collect
from reports.contest.report.facts import Comparison, compare
from reports.contest.report.sections import costs, differences, equal_seconds, fidelity, uses
from reports.contest.report.sentences import second_line, sentence
from reports.contest.report.tables import Block, markdown_block
from reports.contest.report.verdict import verdicts
from reports.contest.report.warnings import warnings
from reports.markdown import markdown_list

from .records import RESULTS

_TABLES: dict[str, Callable[[Comparison], Block]] = {
    "fidelity": fidelity.block,
    "leads": differences.block,
    "equal seconds": equal_seconds.block,
    "costs": costs.block,
    "uses": uses.block,
}
PARTS = ("verdict", *_TABLES)


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


def pilot_table(name: str) -> str:
    """The final trainings that a contest's pilot tried."""
    return pilot.table(records_in(RESULTS / "contest_pilot" / name))


@functools.cache
def _facts(folder: Path) -> Comparison:
    return compare(collect(folder))


def _deeper(text: str) -> str:
    return f"#{text}" if text.startswith("#") else text
