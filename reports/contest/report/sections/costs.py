"""Section: where the steps and the seconds of a cell went."""

from __future__ import annotations

from ..facts import Comparison, Entry
from ..fields import axis_table, by_machine, machines_remark, median_of
from ..tables import MISSING, Block, Field

_PHASES = ("search", "final")


def block(facts: Comparison) -> Block:
    """Make the tables: epochs and seconds of the search and of the final training."""
    contest, machines = facts.results.contest, facts.machines

    def fields(entry: Entry) -> list[Field]:
        return [_field(machines, entry, phase) for phase in _PHASES]

    columns = [f" {phase}" for phase in _PHASES]
    return Block(
        "Where the steps and the seconds went",
        f"Epochs of training and CPU seconds of a cell, medians over seeds. Every cell may take "
        f"{contest.search_epochs + contest.final_epochs:g} epochs, of which the search at most "
        f"{contest.search_epochs:g}; an epoch is a number of optimizer steps, whatever the size of "
        f"the network. Seconds of the search count all that it does.{machines_remark(machines)}",
        [axis_table(facts, axis, fields, columns) for axis in facts.axes],
    )


def _field(machines: list[str], entry: Entry, phase: str) -> Field:
    epochs = median_of(entry.records.values(), lambda record: record.epochs[phase])
    if epochs is None:
        return Field(MISSING)
    seconds = by_machine(
        machines, entry, lambda record: record.seconds[phase], lambda value: f"{value:,.0f} s"
    )
    return Field(f"{epochs:.3g} epochs", seconds)
