"""A table of the hyperparameters of all offspring, and what each offspring achieved."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from .markup import Element, tag
from .snapshot import Offspring, Overview
from .text import plain, times

_COLUMNS = ("ancestor", "efficiency", "validation", "test", "untrained")
_MARKS = {"best": "\N{BLACK STAR}", "survivor": "\N{BLACK CIRCLE}", "": ""}


class Row(NamedTuple):
    """One offspring.

    Parameters
    ----------
    offspring
        The offspring.
    mark
        "best" (the best survivor or an ancestor of it), "survivor" or "".
    achieved
        Texts for the columns ancestor, efficiency, validation, test and untrained. Empty if the
        offspring has no record.
    values
        Texts for the hyperparameters that vary.

    Examples
    --------
    >>> lost = Offspring("g001-00", 1, "g000-00", None, {"temperature": 0.5}, "lost")
    >>> Row(lost, mark="", achieved=[], values=["0.500"]).values
    ['0.500']
    """

    offspring: Offspring
    mark: str
    achieved: list[str]
    values: list[str]


class OffspringTable(NamedTuple):
    """What the table shows.

    Parameters
    ----------
    varying
        Names of the hyperparameters that differ between offspring, each with a column.
    rows
        Rows by the name of their generation.
    constant
        Hyperparameters that are the same for all offspring, each with its value.

    Examples
    --------
    >>> OffspringTable(varying=["temperature"], rows={}, constant={"floor": "1"}).constant
    {'floor': '1'}
    """

    varying: list[str]
    rows: dict[str, list[Row]]
    constant: dict[str, str]


def offspring_table(overview: Overview) -> OffspringTable:
    """Gather what the table shows.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.visualization.snapshot import Generation
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> child = Offspring("g001-00", 1, "g000-00", None, {"temperature": 0.5}, "waiting")
    >>> generation = Generation(1, [child], closed=False, survivors=[])
    >>> table = offspring_table(Overview(Path("lineage"), rules, generations=[generation]))
    >>> table.constant
    {'temperature': '0.500'}
    >>> draw_table(table).tag
    'table'
    """
    offspring = [child for child in overview.offspring if child.generation]
    names = sorted({name for child in offspring for name in child.arguments})
    values = {name: {_value(child, name) for child in offspring} for name in names}
    varying = [name for name in names if len(values[name]) > 1]
    best = {record.uid for record in overview.line}
    survivors = overview.survivors
    rows = {
        generation.name: [
            Row(
                child,
                _mark(child.uid, best, survivors),
                _achieved(child),
                [_value(child, name) for name in varying],
            )
            for child in generation.offspring
        ]
        for generation in overview.generations
    }
    constant = {name: min(values[name]) for name in names if name not in varying}
    return OffspringTable(varying, rows, constant)


def _mark(uid: str, best: Container[str], survivors: Container[str]) -> str:
    if uid in best:
        return "best"
    return "survivor" if uid in survivors else ""


def _value(child: Offspring, name: str) -> str:
    value = child.arguments.get(name, "")
    if isinstance(value, float):
        return f"{value:#.3g}"  # with trailing zeros, so that columns align
    return plain(value)


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


def draw_table(table: OffspringTable) -> Element:
    """The table as HTML, with a group of rows per generation.

    Examples
    --------
    >>> lost = Offspring("g001-00", 1, "g000-00", None, {"temperature": 0.5}, "lost", "no memory")
    >>> rows = {"generation 1": [Row(lost, "", [], ["0.500"])]}
    >>> table = OffspringTable(["temperature"], rows, {})
    >>> [cell.text for cell in draw_table(table).findall("tbody/tr/td")]
    [None, 'lost: no memory', '0.500']
    """
    rows = [row for generation in table.rows.values() for row in generation]
    kinds = [_kind(column) for column in zip(*(row.values for row in rows))]
    names = ["offspring", *_COLUMNS, *(name.replace("_", " ") for name in table.varying)]
    heads = [
        tag("th", name, scope="col", class_=kind)
        for name, kind in zip(names, [None] * (1 + len(_COLUMNS)) + kinds)
    ]
    groups = [
        tag(
            "tbody",
            tag("tr", tag("th", name, colspan=len(names))),
            *(_row(row, kinds) for row in generation),
        )
        for name, generation in table.rows.items()
    ]
    return tag("table", tag("thead", tag("tr", *heads)), *groups)


def _row(row: Row, kinds: list[str | None]) -> Element:
    child = row.offspring
    mark = f" {_MARKS[row.mark]}" if row.mark else None
    name = tag("td", tag("a", child.uid, href=f"#node-{child.uid}"), mark)
    achieved = [tag("td", text) for text in row.achieved]
    if not achieved:
        words = f"{child.state}: {child.note}" if child.note else child.state
        achieved = [tag("td", words, class_=f"reason {child.state}", colspan=len(_COLUMNS))]
    classes = ("survivor" if row.mark else "", row.mark, "" if child.counts else "late")
    return tag(
        "tr",
        name,
        *achieved,
        *(tag("td", value, class_=kind) for value, kind in zip(row.values, kinds)),
        id=child.uid,
        title=child.note or None,
        class_=" ".join(filter(None, classes)) or None,
    )


def _kind(column: Iterable[str]) -> str | None:
    """Class of a column's cells: "word" unless all are numbers, which are aligned differently."""
    try:
        for value in filter(None, column):
            float(value)
    except ValueError:
        return "word"
    return None
