"""Section: seconds and epochs of training that each cell took."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ..compare import Comparison, Entry, median_or_none
from ..tables import (
    MISSING,
    Field,
    Table,
    grid,
    html_table,
    machines_remark,
    markdown_table,
    median_by_machine,
)


def html(facts: Comparison) -> list[Element]:
    """Write the table."""
    return [html_table(table(facts))]


def markdown(facts: Comparison) -> list[str]:
    """Write the table."""
    return [markdown_table(table(facts))]


def table(facts: Comparison) -> Table:
    """Make the table: seconds, epochs and failed trials, the search included."""
    environments, contest = facts.results.environments, facts.results.contest

    def field(entry: Entry) -> Field:
        outcomes = entry.outcomes.values()
        epochs = median_or_none(outcome.epochs for outcome in outcomes)
        if epochs is None:
            return Field(MISSING)
        seconds = median_by_machine(
            environments,
            entry,
            lambda outcome: outcome.seconds,
            lambda seconds: f"{seconds:,.0f} s",
        )
        failed = sum(outcome.failed for outcome in outcomes)
        return Field(
            seconds, f"{epochs:g} epochs" + (f", {failed} trials failed" if failed else "")
        )

    return Table(
        "Training cost of a cell, search included",
        f"Median over seeds. Every cell may take {contest.trials} trials of {contest.epochs:g} "
        "epochs; an evolution that reaches its budget early takes fewer."
        f"{machines_remark(environments)}",
        *grid(facts, field, facts.methods),
    )
