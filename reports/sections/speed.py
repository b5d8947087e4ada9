"""Section: chart of speed against efficiency."""

from __future__ import annotations

from nni_stress.visualization.markup import Element, tag

from ..charts import Line, Mark, legend, lines_chart
from ..compare import Comparison
from ..contest import EVOLUTION, builtin_methods
from ..frontier_chart import upper_median

_TITLE = "Speed against efficiency"


def html(facts: Comparison) -> list[Element]:
    """Draw the speed measured on the first machine: latencies compare on one machine only."""
    methods = [EVOLUTION, *builtin_methods(facts.methods)]
    lines = [Line(name, number, _marks(facts, name)) for number, name in enumerate(methods)]
    lines = [line for line in lines if line.marks]
    if not lines:
        return []
    chart = lines_chart(
        _TITLE,
        lines,
        "architecture efficiency (founder's synapses / network's synapses)",
        "founder's latency / network's latency",
    )
    machines = len(facts.results.environments)
    where = f" on the first of {machines} machines" if machines > 1 else ""
    caption = f"How many times faster than the founder, median over seeds{where}."
    return [
        tag("h2", _TITLE),
        tag(
            "figure",
            tag("div", chart, class_="wide", tabindex=0),
            legend(lines),
            tag("figcaption", caption),
        ),
    ]


def markdown(facts: Comparison) -> list[str]:
    """Return nothing: a chart has no Markdown."""
    return []


def _marks(facts: Comparison, method: str) -> list[Mark]:
    if method not in facts.methods:
        return []
    marks = []
    for budget in facts.budgets:
        measured = [
            (outcome.chosen.efficiency, 1 / outcome.chosen.latency)
            for outcome in facts.entries[method, budget].outcomes.values()
            if outcome.chosen.latency and outcome.environment == facts.results.environments[0]
        ]
        if measured:
            efficiency = upper_median(efficiency for efficiency, _ in measured)
            speed = upper_median(speed for _, speed in measured)
            words = f"{method} at {efficiency:.0f}x: {speed:.2f} times faster"
            marks.append(Mark(efficiency, speed, None, None, words, None))
    return sorted(marks)
