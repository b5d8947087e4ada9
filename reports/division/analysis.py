"""The table of divisions. Validation data choose; test data are quoted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ..markdown import markdown_table
from .plan import DIVISIONS, FOUNDERS, SECOND_LOOK, Cell, cells

Record = Mapping[str, Any]


def scores(records: Sequence[Record]) -> dict[str, float]:
    """Mean validation fidelity of each division in percent, each network counting the same.

    A division that lacks a network, a budget or a founder that another one has no score.
    """
    places = {_place(one) for one in records}
    found = {}
    for division in DIVISIONS:
        own = [one for one in records if one["method"] == division]
        if {_place(one) for one in own} == places:
            means = [
                statistics.mean(100 * one["validation"] for one in own if one["subject"] == subject)
                for subject in sorted({one["subject"] for one in own})
            ]
            found[division] = statistics.mean(means)
    return found


def _place(record: Record) -> tuple[str, str, int]:
    return record["subject"], record["budget"], record["founder"]


def first_look(records: Sequence[Record]) -> list[Record]:
    """Those of all divisions on founder 1."""
    return [one for one in _planned(records) if one["founder"] == FOUNDERS[0]]


def second_look(records: Sequence[Record]) -> list[Record]:
    """Those of the divisions that are compared on all founders."""
    return [one for one in _planned(records) if one["method"] in SECOND_LOOK]


def _planned(records: Sequence[Record]) -> list[Record]:
    names = {cell.name for cell in cells()}
    return [one for one in records if _name(one) in names]


def _name(record: Record) -> str:
    return Cell(*(record[field] for field in Cell._fields)).name


def table(records: Sequence[Record]) -> str:
    """Mean validation (test) fidelity of each division at each budget, in percent."""
    budgets = list(dict.fromkeys((one["subject"], one["budget"]) for one in records))
    means = scores(records)
    rows = []
    for name in DIVISIONS:
        own = [one for one in records if one["method"] == name]
        if own:
            shown = [_shown(own, *key) for key in budgets]
            score = f"{means[name]:.2f}" if name in means else ""
            rows.append([name, *shown, score])
    return markdown_table(["division", *map(", ".join, budgets), "mean"], rows)


def _shown(records: Sequence[Record], subject: str, budget: str) -> str:
    own = [one for one in records if (one["subject"], one["budget"]) == (subject, budget)]
    if not own:
        return ""
    validation, test = (
        statistics.mean(100 * one[split] for one in own) for split in ("validation", "test")
    )
    return f"{validation:.2f} ({test:.2f})"
