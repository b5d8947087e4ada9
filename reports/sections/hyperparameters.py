"""Section: the hyperparameters that each method's search chose."""

from __future__ import annotations

from typing import Any

from nni_stress.visualization.markup import Element, tag

from ..compare import Comparison, Entry
from ..tables import MISSING, Field, Table, grid, html_table, markdown_table


def html(facts: Comparison) -> list[Element]:
    """Write the table, folded up."""
    found = table(facts)
    return [tag("details", tag("summary", found.title), html_table(found))]


def markdown(facts: Comparison) -> list[str]:
    """Write the table."""
    return [markdown_table(table(facts))]


def table(facts: Comparison) -> Table:
    """Make the table: the chosen trial of the first seed that has an outcome."""
    return Table(
        "Hyperparameters chosen",
        "By the search on validation data, of the first seed.",
        *grid(facts, _field, facts.methods),
    )


def _field(entry: Entry) -> Field:
    if not entry.outcomes:
        return Field(MISSING)
    outcome = entry.outcomes[min(entry.outcomes)]
    knobs = [
        f"{name.replace('_', ' ')} {_short(value)}"
        for name, value in sorted(outcome.chosen.knobs.items())
        if name != "architecture"
    ]
    return Field(", ".join(knobs), f"trial {outcome.chosen.number}", outcome.path)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
