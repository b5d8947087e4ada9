"""Section: test fidelity of every cell, with a link to its record."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ...plan import Axis
from ..facts import AXES, Comparison
from ..fields import percent
from ..tables import MISSING, Block, Field, Table, html_block


def html(facts: Comparison) -> list[Element]:
    """Write the tables, folded up."""
    return html_block(block(facts))


def markdown(facts: Comparison) -> list[str]:
    """Return nothing: report.csv has the same for reading without a page."""
    return []


def block(facts: Comparison) -> Block:
    """Make the tables: a row for each method and budget, a column for each seed."""
    contest = facts.results.contest
    founders = ", ".join(f"{seed}: {contest.founder_of(seed)}" for seed in contest.seeds)
    return Block(
        "Every cell",
        "Test fidelity, in percent. Numbers link to the records. Founder of each seed: "
        f"{founders}.",
        [_table(facts, axis) for axis in facts.axes],
        is_folded=True,
    )


def _table(facts: Comparison, axis: Axis) -> Table:
    seeds = facts.results.contest.seeds
    rows = {}
    for budget in axis.budgets:
        rows[f"{budget:g}x"] = [
            (method, [_field(facts, axis.resource, budget, method, seed) for seed in seeds])
            for method in axis.methods
        ]
    return Table(AXES[axis.resource], ["method", *(f"seed {seed}" for seed in seeds)], rows)


def _field(facts: Comparison, resource: str, budget: float, method: str, seed: int) -> Field:
    found = facts.entry(resource, budget, method).records.get(seed)
    return Field(MISSING) if found is None else Field(percent(found.test), "", found.path)
