"""The hyperparameters of all offspring, and what came of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .markup import Element, tag
from .snapshot import Offspring, Overview
from .text import plain, times

_COLUMNS = ("ancestor", "efficiency", "validation", "test", "untrained")
_MARKS = {"best": "\N{BLACK STAR}", "survivor": "\N{BLACK CIRCLE}", "": ""}


class Row(NamedTuple):
    """One offspring: `mark` is "best" (in the best survivor's line), "survivor" or nothing; values as texts."""

    child: Offspring
    mark: str
    achieved: list[str]  # in the order of the table's columns; empty where there is no record
    values: list[str]


class TableFacts(NamedTuple):
    """What the table shows: the hyperparameters that vary, rows by generation, and those that are the same for all."""

    varying: list[str]
    rows: dict[int, list[Row]]
    same: dict[str, str]


def table_facts(facts: Overview) -> TableFacts:
    """Gather what the table shows. What is the same for all offspring needs no column."""
    offspring = [child for child in facts.offspring if child.generation]
    names = sorted({name for child in offspring for name in child.arguments})
    found = {name: {_value(child, name) for child in offspring} for name in names}
    varying = [name for name in names if len(found[name]) > 1]
    best, survivors = {record.uid for record in facts.line}, facts.survivors

    def row(child):
        mark = "best" if child.uid in best else "survivor" if child.uid in survivors else ""
        return Row(child, mark, _achieved(child), [_value(child, name) for name in varying])

    return TableFacts(
        varying,
        {
            generation.number: [row(child) for child in generation.offspring]
            for generation in facts.generations
        },
        {name: values.pop() for name, values in found.items() if name not in varying},
    )


def _value(child: Offspring, name: str) -> str:
    value = child.arguments.get(name, "")
    return (
        f"{value:#.3g}" if isinstance(value, float) else plain(value)
    )  # with its zeros, so that columns align


def _achieved(child: Offspring) -> list[str]:
    record = child.record
    if record is None:
        return []
    return [
        " + ".join(filter(None, (child.ancestor, child.other))),
        times(record.efficiency),
        f"{record.validation:.4f}",
        f"{record.test:.4f}",
        "" if record.untrained is None else f"{record.untrained:.4f}",
    ]


def draw_table(facts: TableFacts) -> Element:
    """The table as HTML, one group of rows for each generation."""
    names = ["offspring", *_COLUMNS, *(name.replace("_", " ") for name in facts.varying)]
    kinds = [
        _kind(column)
        for column in zip(*(row.values for rows in facts.rows.values() for row in rows))
    ]
    groups = [
        tag(
            "tbody",
            tag(
                "tr", tag("th", f"generation {number}" if number else "founder", colspan=len(names))
            ),
            *(_row(row, kinds) for row in rows),
        )
        for number, rows in facts.rows.items()
    ]
    heads = (
        tag("th", name, scope="col", class_=kind)
        for name, kind in zip(names, [None] * (1 + len(_COLUMNS)) + kinds)
    )
    return tag("table", tag("thead", tag("tr", *heads)), *groups)


def _row(row: Row, kinds: list[str | None]) -> Element:
    child, mark = row.child, _MARKS[row.mark]
    name = tag("td", tag("a", child.uid, href=f"#node-{child.uid}"), f" {mark}" if mark else None)
    achieved = [tag("td", text) for text in row.achieved]
    if not achieved:
        words = f"{child.state}: {child.note}" if child.note else child.state
        achieved = [tag("td", words, class_=f"reason {child.state}", colspan=len(_COLUMNS))]
    classes = " ".join(
        filter(None, ("survivor" if row.mark else "", row.mark, "" if child.counts else "late"))
    )
    return tag(
        "tr",
        name,
        *achieved,
        *(tag("td", value, class_=kind) for value, kind in zip(row.values, kinds)),
        id=child.uid,
        title=child.note or None,
        class_=classes or None,
    )


def _kind(column: Iterable[str]) -> str | None:
    """A column of numbers is aligned as such; one that holds anything else is a column of words."""
    try:
        [float(value) for value in column if value]
    except ValueError:
        return "word"
    return None
