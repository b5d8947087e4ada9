"""Section: charts of test fidelity against each axis's resource, a panel for each family."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from nni_stress.visualization.markup import Element, tag

from ...plan import EVOLUTION, PARTS, TORCH_PRUNING, Axis
from ..charts import Line, Mark, Scale, legend, lines_chart
from ..facts import AXES, LESS, Comparison, Entry
from ..fields import bounds, first_record, percent

_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "its parts": PARTS,
    "NNI's pruners by weights": (
        *("RandomPruner", "L1NormPruner", "L2NormPruner", "FPGMPruner"),
        "L1NormPruner at one ratio",
    ),
    "NNI's pruners by training, and schedules": (
        *("TaylorPruner", "SlimPruner", "MovementPruner", "LinearPruner", "AGPPruner"),
    ),
    "Torch-Pruning": TORCH_PRUNING,
}
_CAPTION = (
    "Mean over seeds with its 95 % interval. All panels of an axis have the same scale. Marks link "
    "to the record of the first seed; one far below the scale is drawn at the lower edge, pointing "
    "down."
)


def html(facts: Comparison) -> list[Element]:
    """Draw the panels of every axis."""
    figures = [part for axis in facts.axes for part in _figure(facts, axis)]
    return [tag("h2", "Frontiers"), *figures, tag("p", _CAPTION, class_="soft")] if figures else []


def markdown(facts: Comparison) -> list[str]:
    """Return nothing: a chart has no Markdown."""
    return []


def _figure(facts: Comparison, axis: Axis) -> list[Element]:
    """The panels of an axis; nothing where no method of it has a record."""
    families = {
        name: [Line(EVOLUTION, 0, _marks(facts, axis, EVOLUTION))]
        + [
            Line(method, number, _marks(facts, axis, method))
            for number, method in enumerate(methods, 1)
            if method in axis.methods
        ]
        for name, methods in _FAMILIES.items()
    }
    families = {
        name: lines for name, lines in families.items() if any(line.marks for line in lines[1:])
    }
    if not families:
        alone = [Line(EVOLUTION, 0, _marks(facts, axis, EVOLUTION))]
        families = {"": alone} if alone[0].marks else {}
    if not families:
        return []
    founders = facts.results.founders.values()
    level = statistics.fmean(founder.test for founder in founders) if founders else None
    scale = Scale.of([line for lines in families.values() for line in lines], level)
    across = f"times {LESS[axis.resource]} than the founder"
    panels = [_panel(axis, name, lines, scale, across) for name, lines in families.items()]
    return [tag("h3", AXES[axis.resource]), tag("div", *panels, class_="panels")]


def _panel(axis: Axis, family: str, lines: list[Line], scale: Scale, across: str) -> Element:
    name = f"The evolution and {family}" if family else "The evolution"
    title = f"{name}: test fidelity against {AXES[axis.resource]}"
    return tag(
        "figure",
        tag("figcaption", name),
        lines_chart(title, lines, scale, across, "test fidelity"),
        legend(lines),
    )


def _marks(facts: Comparison, axis: Axis, method: str) -> list[Mark]:
    marks = [_mark(entry) for entry in facts.row(axis, method)]
    return sorted(mark for mark in marks if mark is not None)


def _mark(entry: Entry) -> Mark | None:
    found = first_record(entry)
    if entry.test is None or found is None:
        return None
    shares = [record.uses[entry.key.resource] for record in entry.records.values()]
    words = f"{entry.key.method} at {entry.key.budget:g}x: {percent(entry.test.mean)} %"
    interval = bounds(entry.test)
    if interval:
        words += f", 95 % interval {interval}"
    times = 1 / max(statistics.median(shares), 1e-9)
    return Mark(times, entry.test.mean, entry.test.low, entry.test.high, words, found.path)
