"""All numbers of a contest as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from .compare import Comparison, Entry, Frontier

_COLUMNS = (
    "method",
    "budget",
    "seed",
    "trial",
    "chosen",
    "efficiency",
    "synapses",
    "macs",
    "latency",
    "validation",
    "test",
    "untrained",
    "epochs",
    "seconds",
    "record",
)


def as_csv(facts: Comparison) -> str:
    """Write every trial of every cell that has an outcome as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(trials(facts))
    return text.getvalue()


def as_json(facts: Comparison) -> str:
    """Write the facts behind the tables, and every trial, as JSON."""
    content = {
        "name": facts.results.name,
        "verdict": facts.verdict,
        "details": facts.details,
        "founder": facts.results.founder,
        "entries": [_entry(entry) for entry in facts.entries.values()],
        "frontiers": [_frontier(frontier) for frontier in facts.frontiers.values()],
        "trials": trials(facts),
        "problems": facts.results.problems,
    }
    return json.dumps(content, indent=1) + "\n"


def trials(facts: Comparison) -> list[dict[str, Any]]:
    """Return every trial of every cell that has an outcome, as plain data."""
    return [
        {
            **outcome.cell._asdict(),
            "trial": trial.number,
            "chosen": trial.number == outcome.chosen.number,
            "efficiency": trial.efficiency,
            "synapses": trial.synapses,
            "macs": trial.macs,
            "latency": trial.latency,
            "validation": trial.validation,
            "test": trial.test,
            "untrained": trial.untrained,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "record": outcome.path,
        }
        for outcome in facts.results.outcomes.values()
        for trial in outcome.trials
    ]


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "method": entry.method,
        "budget": entry.budget,
        "test": entry.test and entry.test._asdict(),
        "against": entry.against and entry.against._asdict(),
        "p": entry.p,
        "claim": entry.claim,
        "missing": entry.missing,
    }


def _frontier(frontier: Frontier) -> dict[str, Any]:
    return {
        "method": frontier.method,
        "hypervolume": frontier.hypervolume and frontier.hypervolume._asdict(),
        "efficiency": {
            str(loss): kept and {**kept[0]._asdict(), "lower_bound": kept[1]}
            for loss, kept in frontier.efficiency.items()
        },
        "fidelity": {
            f"{budget:g}": interval and interval._asdict()
            for budget, interval in frontier.fidelity.items()
        },
    }
