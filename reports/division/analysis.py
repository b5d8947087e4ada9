"""The table of divisions. Validation data choose; test data are quoted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .plan import DIVISIONS

Record = Mapping[str, Any]


def scores(records: Sequence[Record]) -> dict[str, float]:
    """Mean validation fidelity of each division in percent, each network counting the same.

    A division that has no record yet of one of the networks has no score.
    """

    def of_network(division: str, subject: str) -> float:
        return statistics.mean(
            100 * one["validation"]
            for one in records
            if (one["method"], one["subject"]) == (division, subject)
        )

    subjects = sorted({one["subject"] for one in records})
    seen = {(one["method"], one["subject"]) for one in records}
    complete = [name for name in DIVISIONS if all((name, subject) in seen for subject in subjects)]
    return {
        name: statistics.mean(of_network(name, subject) for subject in subjects)
        for name in complete
    }


def table(records: Sequence[Record]) -> str:
    """Mean validation (test) fidelity of each division at each budget, in percent."""
    budgets = list(dict.fromkeys((one["subject"], one["budget"]) for one in records))
    means = scores(records)
    lines = [
        "| division | " + " | ".join(map(", ".join, budgets)) + " | mean |",
        "|---" * (len(budgets) + 2) + "|",
    ]
    for name in DIVISIONS:
        cells = [_shown(records, name, *key) for key in budgets]
        score = f"{means[name]:.2f}" if name in means else ""
        lines.append(f"| {name} | " + " | ".join([*cells, score]) + " |")
    return "\n".join(lines)


def _shown(records: Sequence[Record], method: str, subject: str, budget: str) -> str:
    own = [
        one
        for one in records
        if (one["method"], one["subject"], one["budget"]) == (method, subject, budget)
    ]
    if not own:
        return ""
    validation, test = (
        statistics.mean(100 * one[split] for one in own) for split in ("validation", "test")
    )
    return f"{validation:.2f} ({test:.2f})"
