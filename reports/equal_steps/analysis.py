"""Tables of each stage. Validation data choose; test data are quoted."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from scipy import stats

from ..significance import corrected
from .plan import DIVISIONS, METHODS, RATES, SUBJECTS

Record = Mapping[str, Any]


class Lead(NamedTuple):
    """By how many points of test fidelity the evolution leads another method at a budget.

    Parameters
    ----------
    mean
        Difference of the means.
    low, high
        Its 95 % interval, by Welch.
    p
        Of Welch's t-test, corrected by Holm over the method's budgets.
    """

    mean: float
    low: float
    high: float
    p: float


def division_scores(records: Sequence[Record]) -> dict[str, float]:
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


def division_table(records: Sequence[Record]) -> str:
    """Mean validation (test) fidelity of each division at each budget, in percent."""
    budgets = list(dict.fromkeys((one["subject"], one["budget"]) for one in records))
    scores = division_scores(records)
    lines = [
        "| division | " + " | ".join(map(", ".join, budgets)) + " | mean |",
        "|---" * (len(budgets) + 2) + "|",
    ]
    for name in DIVISIONS:
        cells = [_shown(records, name, *key) for key in budgets]
        score = f"{scores[name]:.2f}" if name in scores else ""
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


def best_rates(records: Sequence[Record]) -> dict[tuple[str, str], float]:
    """For each method and budget the rate of the highest mean validation fidelity."""

    def fidelity(method: str, budget: str, rate: float) -> float:
        return statistics.mean(
            one["validation"]
            for one in records
            if (one["method"], one["budget"], one["rate"]) == (method, budget, rate)
        )

    keys = dict.fromkeys((one["method"], one["budget"]) for one in records)
    return {key: max(RATES, key=lambda rate, key=key: fidelity(*key, rate)) for key in keys}


def rates_table(records: Sequence[Record]) -> str:
    """The rates as plan.py is to have them."""
    return "\n".join(f"{key!r}: {rate:g}," for key, rate in best_rates(records).items())


def leads(records: Sequence[Record], rival: str) -> dict[str, Lead]:
    """The evolution's lead over a method at each budget.

    Parameters
    ----------
    records
        Of stage `comparison`.
    rival
        The other method.
    """
    found = {}
    for budget in SUBJECTS["lenet5"].budgets:
        own, other = (
            [100 * one["test"] for one in records if (one["method"], one["budget"]) == key]
            for key in (("evolution", budget), (rival, budget))
        )
        if min(len(own), len(other)) < 2:
            continue
        test = stats.ttest_ind(own, other, equal_var=False)
        interval = test.confidence_interval(0.95)
        mean = statistics.mean(own) - statistics.mean(other)
        found[budget] = Lead(mean, float(interval.low), float(interval.high), float(test.pvalue))
    p_values = corrected([lead.p for lead in found.values()])
    return {
        budget: lead._replace(p=p)
        for (budget, lead), p in zip(found.items(), p_values)
        if p is not None
    }


def comparison_table(records: Sequence[Record]) -> str:
    """Mean test fidelity of each method at each budget, and the evolution's lead."""
    budgets = list(SUBJECTS["lenet5"].budgets)
    lines = ["| method | " + " | ".join(budgets) + " |", "|---" * (len(budgets) + 1) + "|"]
    for method in METHODS:
        lead = {} if method == "evolution" else leads(records, method)
        cells = []
        for budget in budgets:
            own = [
                100 * one["test"]
                for one in records
                if (one["method"], one["budget"]) == (method, budget)
            ]
            text = f"{statistics.mean(own):.2f}" if own else ""
            if budget in lead:
                found = lead[budget]
                text += (
                    f" ({found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}], p {found.p:.3f})"
                )
            cells.append(text)
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


TABLES: Mapping[str, Callable[[Sequence[Record]], str]] = {
    "division": division_table,
    "rates": rates_table,
    "comparison": comparison_table,
}
