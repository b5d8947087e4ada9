"""The chart of test fidelity against efficiency, shared by two sections of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nni_stress.visualization.markup import Element, tag

from .charts import Line, Mark, legend, lines_chart
from .compare import Comparison, Entry
from .contest import EVOLUTION
from .tables import percent


def frontier_figure(facts: Comparison, others: str, methods: Sequence[str]) -> list[Element]:
    """Draw the evolution and some other methods, under a heading.

    Parameters
    ----------
    facts
        The comparison.
    others
        What the other methods are called together.
    methods
        The other methods, in their order.

    Returns
    -------
    list
        Heading and figure; empty where there are no other methods or no outcomes.
    """
    lines = [
        Line(name, number, _marks(facts, name))
        for number, name in enumerate([EVOLUTION, *methods])
        if name in facts.methods
    ]
    if not methods or not any(line.marks for line in lines):
        return []
    chart = lines_chart(
        f"Test fidelity against efficiency, the evolution and {others}",
        lines,
        "architecture efficiency (founder's synapses / network's synapses)",
        "test fidelity",
        (facts.results.founder["test"], "founder"),
    )
    caption = (
        "Median over seeds with its 95 % interval. Marks link to the record of the first seed; "
        "a mark far below the scale is drawn at the lower edge, pointing down."
    )
    return [
        tag("h2", f"The evolution and {others}"),
        tag(
            "figure",
            tag("div", chart, class_="wide", tabindex=0),
            legend(lines),
            tag("figcaption", caption),
        ),
    ]


def _marks(facts: Comparison, method: str) -> list[Mark]:
    entries = [facts.entries[method, budget] for budget in facts.budgets]
    return sorted(mark for entry in entries if (mark := _mark(entry)) is not None)


def _mark(entry: Entry) -> Mark | None:
    test = entry.test
    if test is None:
        return None
    words = f"{entry.method} at {entry.budget:g}x: {percent(test.median)} %"
    if test.low is not None and test.high is not None:
        words += f", 95 % interval {percent(test.low)} to {percent(test.high)}"
    return Mark(
        upper_median(outcome.chosen.efficiency for outcome in entry.outcomes.values()),
        test.median,
        test.low,
        test.high,
        words,
        entry.outcomes[min(entry.outcomes)].path,
    )


def upper_median(values: Iterable[float]) -> float:
    """Return the middle value, of an even number the upper of both: always a value that occurs.

    Examples
    --------
    >>> upper_median([4.0, 1.0, 2.0, 3.0])
    3.0
    """
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
