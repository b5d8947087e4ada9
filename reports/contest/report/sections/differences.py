"""Section: by how much the evolution leads every other method."""

from __future__ import annotations

from ...plan import EVOLUTION
from ..facts import Comparison, Entry
from ..fields import axis_table, bounds, groups
from ..sentences import chance, points
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: difference of the means, its interval, and p."""
    tables = []
    for axis in facts.axes:
        others = {
            group: [name for name in names if name != EVOLUTION]
            for group, names in groups(facts, axis).items()
        }
        others = {group.replace("The evolution and its", "Its"): others[group] for group in others}
        others = {group: names for group, names in others.items() if names}
        if others:
            tables.append(axis_table(facts, axis, lambda entry: [lead(entry)], methods=others))
    return Block(
        "The evolution's lead over each other method, in points",
        "Difference of the mean test fidelities and its 95 % interval; p of Welch's t-test, "
        "corrected for all comparisons of the table (Holm). The verdict has fewer comparisons, "
        "which were fixed beforehand, and so other p values.",
        tables,
    )


def lead(entry: Entry) -> Field:
    """Field of the evolution's lead over an entry's method."""
    if entry.lead is None:
        return Field(MISSING)
    notes = [bounds(entry.lead, points), "" if entry.p is None else chance(entry.p)]
    return Field(points(entry.lead.mean), "; ".join(filter(None, notes)))
