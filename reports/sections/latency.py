"""Section: how much faster than the founder each method's networks run."""

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
    """Make the table: speed-up, and the ratio of MACs."""
    environments, founder = facts.results.environments, facts.results.founder

    def field(entry: Entry) -> Field:
        outcomes = entry.outcomes.values()
        if median_or_none(outcome.chosen.latency for outcome in outcomes) is None:
            return Field(MISSING)
        macs = median_or_none(founder["macs"] / outcome.chosen.macs for outcome in outcomes)
        speed = median_by_machine(
            environments,
            entry,
            lambda outcome: outcome.chosen.latency,
            lambda share: f"{1 / share:.2f}x",
        )
        return Field(speed, f"{macs:.1f}x fewer MACs")

    return Table(
        "Latency",
        "How many times faster than the founder. Both take turns on one thread, with the task's "
        "example batch; median over seeds. LevelPruner removes single synapses: its network keeps "
        f"its shape.{machines_remark(environments)}",
        *grid(facts, field, facts.methods, " fewer synapses"),
    )
