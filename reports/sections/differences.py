"""Section: paired differences between the evolution and every other method."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ..compare import Comparison, Entry
from ..contest import EVOLUTION
from ..tables import MISSING, Field, Table, grid, html_table, markdown_table

_CLAIMS = {
    "better": "evolution better",
    "worse": "evolution worse",
    "no difference": "within noise",
    "": "not tested",
}


def html(facts: Comparison) -> list[Element]:
    """Write the table."""
    return [html_table(table(facts))]


def markdown(facts: Comparison) -> list[str]:
    """Write the table."""
    return [markdown_table(table(facts))]


def table(facts: Comparison) -> Table:
    """Make the table: mean difference, corrected p and effect size."""

    def field(entry: Entry) -> Field:
        if entry.against is None:
            return Field(MISSING)
        effect = "" if entry.against.effect is None else f", d {entry.against.effect:+.1f}"
        chance = "" if entry.p is None else f", p {entry.p:.3f}"
        return Field(f"{100 * entry.against.mean:+.2f}", f"{_CLAIMS[entry.claim]}{chance}{effect}")

    return Table(
        "Evolution minus each other method, in points",
        "Mean of the paired differences over seeds; p of the paired t-test, corrected for all "
        "comparisons of this table (Holm); d is the mean divided by the standard "
        "deviation.",
        *grid(facts, field, [method for method in facts.methods if method != EVOLUTION]),
    )
