"""Section: test fidelity of each method at each budget, and a line for each budget."""

from __future__ import annotations

from nni_stress.visualization.markup import Element, tag

from ..compare import Comparison, Entry
from ..tables import (
    MISSING,
    Field,
    Table,
    bounds,
    grid,
    html_table,
    markdown_list,
    markdown_table,
    percent,
)
from ..verdict import seeds_in_words


def html(facts: Comparison) -> list[Element]:
    """Write the table, then the lines."""
    return [html_table(table(facts)), tag("ul", *(tag("li", line) for line in facts.details))]


def markdown(facts: Comparison) -> list[str]:
    """Write the lines, which continue the verdict, then the table."""
    return [markdown_list(facts.details), markdown_table(table(facts))]


def table(facts: Comparison) -> Table:
    """Make the table: median over seeds with its interval."""
    founder, seeds = facts.results.founder, len(facts.results.contest.seeds)

    def field(entry: Entry) -> Field:
        if entry.test is None:
            return Field(MISSING)
        notes = [bounds(entry.test)]
        if entry.missing:
            notes.append(f"{len(entry.outcomes)} of {seeds_in_words(seeds)}")
        link = entry.outcomes[min(entry.outcomes)].path
        return Field(percent(entry.test.median), "; ".join(filter(None, notes)), link)

    return Table(
        "Test fidelity at each budget",
        f"Median over {seeds_in_words(seeds)}, and its 95 % interval (BCa bootstrap), in percent. "
        f"The founder has {percent(founder['test'])} with {founder['synapses']:,} synapses. Each "
        "method was searched on validation data alone. Numbers link to the record of the first "
        "seed.",
        *grid(facts, field, facts.methods, " fewer synapses"),
    )
