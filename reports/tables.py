"""The tables of a report: the same for the page and for its Markdown twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .collect import Outcome
from .compare import LOSSES, Comparison, Entry, median_or_none
from .contest import ABLATIONS, EVOLUTION
from .significance import Interval

MISSING = "missing"


class Field(NamedTuple):
    """One field of a table: a text, a remark below it, and the record it links to."""

    text: str
    note: str = ""
    link: str | None = None


class Table(NamedTuple):
    """`rows` are (name, fields); the evolution's own row is the one named so."""

    title: str
    remark: str
    head: list[str]
    rows: list[tuple[str, list[Field]]]


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def bounds(found: Interval, written=percent) -> str:
    return "" if found.low is None else f"{written(found.low)} to {written(found.high)}"


def tables(facts: Comparison) -> list[Table]:
    """All tables, the most important first."""
    return [_fidelity(facts), _differences(facts), _kept(facts), _latency(facts), _cost(facts)]


def _grid(
    facts: Comparison, field: Callable[[Entry], Field], methods: Sequence[str], unit: str = ""
):
    """Head and rows of a table with a row for each method and a column for each budget."""
    return (
        ["method", *(f"{budget:g}x{unit}" for budget in facts.budgets)],
        [
            (method, [field(facts.entries[method, budget]) for budget in facts.budgets])
            for method in methods
        ],
    )


def _fidelity(facts: Comparison) -> Table:
    founder, seeds = facts.results.founder, len(facts.results.contest.seeds)

    def field(entry: Entry) -> Field:
        if entry.test is None:
            return Field(MISSING)
        link = entry.outcomes[min(entry.outcomes)].path
        notes = [
            bounds(entry.test),
            *([f"{len(entry.outcomes)} of {seeds} seeds"] if entry.missing else []),
        ]
        return Field(percent(entry.test.median), "; ".join(filter(None, notes)), link)

    return Table(
        "Test fidelity at each budget",
        f"Median over {seeds} seeds, and its 95 % interval (BCa bootstrap), in percent. The founder has "
        f"{percent(founder['test'])} with {founder['synapses']:,} synapses. Each method was searched on validation data "
        "alone. Numbers link to the record of the first seed.",
        *_grid(facts, field, facts.methods, " fewer synapses"),
    )


def _differences(facts: Comparison) -> Table:
    def field(entry: Entry) -> Field:
        if entry.against is None:
            return Field(MISSING)
        words = {
            "better": "evolution better",
            "worse": "evolution worse",
            "no difference": "within noise",
            "": "not tested",
        }
        effect = "" if entry.against.effect is None else f", d {entry.against.effect:+.1f}"
        chance = "" if entry.p is None else f", p {entry.p:.3f}"
        return Field(f"{100 * entry.against.mean:+.2f}", f"{words[entry.claim]}{chance}{effect}")

    return Table(
        "The evolution less each other method, in points",
        "Mean of the paired differences over seeds; p of the paired t-test, corrected for all comparisons of this table "
        "(Holm); d is the mean in standard deviations.",
        *_grid(facts, field, [method for method in facts.methods if method != EVOLUTION]),
    )


def _kept(facts: Comparison) -> Table:
    founder = facts.results.founder

    def kept(found) -> Field:
        if found is None:
            return Field("below all budgets")
        interval, beyond = found
        return Field(
            f"{'at least ' if beyond else ''}{interval.median:.1f}x",
            bounds(interval, lambda value: f"{value:.1f}x")
            or f"{founder['synapses'] / interval.median:,.0f} synapses",
        )

    rows = []
    for method in facts.methods:
        line = facts.frontiers[method]
        area = (
            Field(MISSING)
            if line.hypervolume is None
            else Field(
                f"{line.hypervolume.median:.3f}",
                bounds(line.hypervolume, lambda value: f"{value:.3f}"),
            )
        )
        rows.append(
            (
                method,
                [
                    *(kept(line.efficiency[loss]) for loss in LOSSES),
                    *(
                        Field(MISSING)
                        if line.fidelity[b] is None
                        else Field(percent(line.fidelity[b].median), bounds(line.fidelity[b]))
                        for b in facts.budgets
                    ),
                    area,
                ],
            )
        )
    return Table(
        "Along each method's frontier",
        "Efficiency kept at a loss of test fidelity, and fidelity at an efficiency, interpolated between the budgets in "
        "log efficiency; hypervolume: the share of the founder's fidelity (down to ten points below) that is kept, over log "
        "efficiency.",
        [
            "method",
            *(f"at {100 * loss:g} points lost" for loss in LOSSES),
            *(f"at {b:g}x, %" for b in facts.budgets),
            "hypervolume",
        ],
        rows,
    )


def _apart(
    environments: Sequence[Mapping],
    entry: Entry,
    value: Callable[[Outcome], float | None],
    written: Callable[[float], str],
) -> str:
    """The median over seeds of what depends on the machine: one for each that the contest ran on."""
    found = [
        median_or_none(
            value(one) for one in entry.outcomes.values() if one.environment == environment
        )
        for environment in environments
    ]
    return " / ".join("–" if one is None else written(one) for one in found)


def _several(environments: Sequence[Mapping]) -> str:
    """What to mind where a contest ran on several machines; empty where it did not."""
    return (
        ""
        if len(environments) < 2
        else (
            f" The cells ran on {len(environments)} machines, and each has its own number, in the order of the machines below: compare "
            "those of one machine."
        )
    )


def _latency(facts: Comparison) -> Table:
    environments = facts.results.environments

    def field(entry: Entry) -> Field:
        macs = median_or_none(
            facts.results.founder["macs"] / one.chosen.macs for one in entry.outcomes.values()
        )
        if median_or_none(one.chosen.latency for one in entry.outcomes.values()) is None:
            return Field(MISSING)
        return Field(
            _apart(
                environments,
                entry,
                lambda one: one.chosen.latency,
                lambda share: f"{1 / share:.2f}x",
            ),
            f"{macs:.1f}x fewer MACs",
        )

    return Table(
        "Latency",
        "How many times faster than the founder, measured in turns with it on one thread, over the task's example "
        f"batch; median over seeds. LevelPruner removes single synapses: its network keeps its shape.{_several(environments)}",
        *_grid(facts, field, facts.methods, " fewer synapses"),
    )


def _cost(facts: Comparison) -> Table:
    environments = facts.results.environments

    def field(entry: Entry) -> Field:
        epochs = median_or_none(one.epochs for one in entry.outcomes.values())
        failed = sum(one.failed for one in entry.outcomes.values())
        if epochs is None:
            return Field(MISSING)
        return Field(
            _apart(
                environments, entry, lambda one: one.seconds, lambda seconds: f"{seconds:,.0f} s"
            ),
            f"{epochs:g} epochs" + (f", {failed} trials failed" if failed else ""),
        )

    contest = facts.results.contest
    return Table(
        "Training cost of a cell, search included",
        f"Median over seeds. Every cell may take {contest.trials} trials of {contest.epochs:g} epochs; an evolution that is at "
        f"its budget early takes fewer.{_several(environments)}",
        *_grid(facts, field, facts.methods),
    )


def chosen_knobs(facts: Comparison) -> Table:
    """The hyperparameters that each method's search chose, of the first seed that has an outcome."""

    def field(entry: Entry) -> Field:
        if not entry.outcomes:
            return Field(MISSING)
        outcome = entry.outcomes[min(entry.outcomes)]
        return Field(
            ", ".join(
                f"{name.replace('_', ' ')} {_short(value)}"
                for name, value in sorted(outcome.chosen.knobs.items())
                if name != "architecture"
            ),
            f"trial {outcome.chosen.number}",
            outcome.path,
        )

    return Table(
        "Hyperparameters chosen",
        "By the search on validation data, of the first seed.",
        *_grid(facts, field, facts.methods),
    )


def _short(value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shown(facts: Comparison) -> Outcome | None:
    """The evolution whose survivor is shown: the highest budget's, of the first seed that has an outcome."""
    for budget in sorted(facts.budgets, reverse=True):
        entry = facts.entries.get((EVOLUTION, budget))
        if entry and entry.outcomes:
            return entry.outcomes[min(entry.outcomes)]
    return None


def lineage(facts: Comparison) -> Table | None:
    """The generations of the evolution that is shown."""
    outcome = shown(facts)
    if outcome is None:
        return None
    rows = [
        (
            trial.uid or str(trial.number),
            [
                Field(trial.ancestor or ""),
                Field(f"{trial.efficiency:.1f}x"),
                Field(f"{trial.synapses:,}"),
                Field("" if trial.untrained is None else percent(trial.untrained)),
                Field(percent(trial.validation)),
                Field(percent(trial.test)),
                Field("chosen" if trial.number == outcome.chosen.number else ""),
            ],
        )
        for trial in outcome.trials
    ]
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
        rows,
    )


def ours(methods: Sequence[str]) -> list[str]:
    return [method for method in methods if method in ABLATIONS]


def theirs(methods: Sequence[str]) -> list[str]:
    return [method for method in methods if method not in ABLATIONS]
