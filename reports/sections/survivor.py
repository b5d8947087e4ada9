"""Section: the generations of one evolution, and its survivor layer by layer."""

from __future__ import annotations

from nni_stress.visualization.markup import Element, tag

from ..charts import bars_chart
from ..collect import Outcome, Trial
from ..compare import Comparison
from ..contest import EVOLUTION
from ..tables import Field, Table, html_table, markdown_table, percent


def html(facts: Comparison) -> list[Element]:
    """Write the table of generations, and draw the clusters of each layer."""
    outcome = shown_outcome(facts)
    if outcome is None:
        return []
    chart = bars_chart(
        "Clusters of each layer, founder and survivor", clusters_by_layer(facts, outcome)
    )
    caption = (
        "Clusters (filters, neurons) of each layer: outlined the founder's, filled the survivor's."
    )
    return [
        html_table(table(outcome)),
        tag("h2", "Its survivor, layer by layer"),
        tag(
            "figure",
            tag("div", chart, class_="wide", tabindex=0),
            tag("figcaption", caption),
        ),
    ]


def markdown(facts: Comparison) -> list[str]:
    """Write the table of generations."""
    outcome = shown_outcome(facts)
    return [] if outcome is None else [markdown_table(table(outcome))]


def shown_outcome(facts: Comparison) -> Outcome | None:
    """Choose the evolution to show: the highest budget's, of the first seed with an outcome."""
    for budget in sorted(facts.budgets, reverse=True):
        entry = facts.entries.get((EVOLUTION, budget))
        if entry and entry.outcomes:
            return entry.outcomes[min(entry.outcomes)]
    return None


def clusters_by_layer(facts: Comparison, outcome: Outcome) -> list[tuple[str, float, float]]:
    """Return (layer, clusters of the founder, clusters of the survivor) of layers with clusters."""
    survivor = outcome.chosen.architecture
    return [
        (layer, shape[0], survivor.get(layer, [0])[0])
        for layer, shape in facts.results.founder["architecture"].items()
        if len(shape) > 1
    ]


def table(outcome: Outcome) -> Table:
    """Make the table of generations: one row for each offspring."""
    return Table(
        f"Generations of the evolution to {outcome.cell.budget:g}x, seed {outcome.cell.seed}",
        f"Record: {outcome.path}. Untrained: validation fidelity right after synthesis.",
        [
            "offspring",
            "ancestor",
            "efficiency",
            "synapses",
            "untrained, %",
            "validation, %",
            "test, %",
            "",
        ],
        [
            (trial.uid or str(trial.number), _row(trial, trial.number == outcome.chosen.number))
            for trial in outcome.trials
        ],
    )


def _row(trial: Trial, is_chosen: bool) -> list[Field]:
    return [
        Field(trial.ancestor or ""),
        Field(f"{trial.efficiency:.1f}x"),
        Field(f"{trial.synapses:,}"),
        Field("" if trial.untrained is None else percent(trial.untrained)),
        Field(percent(trial.validation)),
        Field(percent(trial.test)),
        Field("chosen" if is_chosen else ""),
    ]
