"""Section: each method over all budgets, interpolated between them."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ..compare import LOSSES, Comparison
from ..significance import Interval
from ..tables import MISSING, Field, Table, bounds, html_table, markdown_table, percent


def html(facts: Comparison) -> list[Element]:
    """Write the table."""
    return [html_table(table(facts))]


def markdown(facts: Comparison) -> list[str]:
    """Write the table."""
    return [markdown_table(table(facts))]


def table(facts: Comparison) -> Table:
    """Make the table: efficiency at each loss, fidelity at each budget, hypervolume."""
    return Table(
        "Frontier of each method",
        "Efficiency at a loss of test fidelity, and test fidelity at an efficiency, interpolated "
        "between the budgets in log efficiency. Hypervolume: of the area between the founder's "
        "test fidelity and ten points below it, over log efficiency, the share under the "
        "frontier.",
        [
            "method",
            *(f"at {100 * loss:g} points lost" for loss in LOSSES),
            *(f"at {budget:g}x, %" for budget in facts.budgets),
            "hypervolume",
        ],
        [(method, _row(facts, method)) for method in facts.methods],
    )


def _row(facts: Comparison, method: str) -> list[Field]:
    line, synapses = facts.frontiers[method], facts.results.founder["synapses"]
    return [
        *(_efficiency(line.efficiency[loss], synapses) for loss in LOSSES),
        *(_fidelity(line.fidelity[budget]) for budget in facts.budgets),
        _hypervolume(line.hypervolume),
    ]


def _efficiency(kept: tuple[Interval, bool] | None, synapses: int) -> Field:
    if kept is None:
        return Field("below all budgets")
    interval, is_lower_bound = kept
    note = bounds(interval, lambda value: f"{value:.1f}x")
    return Field(
        f"{'at least ' if is_lower_bound else ''}{interval.median:.1f}x",
        note or f"{synapses / interval.median:,.0f} synapses",
    )


def _fidelity(interval: Interval | None) -> Field:
    if interval is None:
        return Field(MISSING)
    return Field(percent(interval.median), bounds(interval))


def _hypervolume(interval: Interval | None) -> Field:
    if interval is None:
        return Field(MISSING)
    return Field(f"{interval.median:.3f}", bounds(interval, lambda value: f"{value:.3f}"))
