"""Section: how much less of each resource the networks use."""

from __future__ import annotations

from ...records import USES
from ..facts import Comparison, Entry
from ..fields import axis_table, median_of
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: parameters, MACs, latency and clusters, as times less than the founder's."""
    machines = len(facts.machines)
    where = f", each on its own of {machines} machines" if machines > 1 else ""
    columns = [f" {name}" for name in ("parameters", "MACs", "latency", "clusters")]
    return Block(
        "What the networks use",
        "How many times less than the founder, medians over seeds. Latency is measured at the end "
        f"of a cell, in turns with the founder, on one thread{where}. Times fewer clusters (output "
        "channels, neurons) are what the method's family calls cluster efficiency.",
        [axis_table(facts, axis, _fields, columns) for axis in facts.axes],
    )


def _fields(entry: Entry) -> list[Field]:
    return [_field(entry, name) for name in USES]


def _field(entry: Entry, resource: str) -> Field:
    share = median_of(entry.records.values(), lambda record: record.uses[resource])
    return Field(f"{1 / share:.3g}x" if share else MISSING)
