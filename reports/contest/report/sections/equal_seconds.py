"""Section: methods with as many seconds as the evolution, beside themselves in equal steps."""

from __future__ import annotations

from ...plan import EVOLUTION, Axis, base_of, in_equal_seconds
from ..facts import Comparison, Entry
from ..fields import axis_table, bounds, by_machine, first_record, machines_remark, percent
from ..sentences import chance, points
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: each method twice, once in equal steps and once in equal seconds."""
    tables = []
    for axis in facts.axes:
        methods = _methods(axis)
        if methods:
            shown = {"": [EVOLUTION, *methods]}
            tables.append(
                axis_table(facts, axis, lambda entry: [_field(facts, entry)], ("",), shown)
            )
    return Block(
        "Equal seconds beside equal steps",
        "Mean test fidelity, in percent; CPU seconds of search and final training together, the "
        "median over seeds; and the evolution's lead in points, with its 95 % interval and p "
        "(Welch, corrected for all methods in equal steps, or for all in equal seconds). In equal "
        "seconds, the final training is as long as makes the seconds those of the evolution."
        f"{machines_remark(facts.machines)}",
        tables,
    )


def _methods(axis: Axis) -> list[str]:
    """Each method in equal seconds, behind the same in equal steps."""
    return [
        name
        for method in axis.methods
        if in_equal_seconds(method)
        for name in (base_of(method), method)
        if name in axis.methods
    ]


def _field(facts: Comparison, entry: Entry) -> Field:
    found = first_record(entry)
    if entry.test is None or found is None:
        return Field(MISSING)
    seconds = by_machine(
        facts.machines,
        entry,
        lambda record: sum(record.seconds.values()),
        lambda value: f"{value:,.0f} s",
    )
    notes = [seconds]
    if entry.lead is not None:
        between = bounds(entry.lead, points)
        p = "" if entry.p is None else f", {chance(entry.p)}"
        notes.append(f"lead {points(entry.lead.mean)}{f' ({between})' if between else ''}{p}")
    return Field(percent(entry.test.mean), "; ".join(notes), found.path)
