"""Tables of a report, and how they are written in HTML and in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from nni_stress.visualization.markup import Element, tag

from ..plan import EVOLUTION, Axis
from ..records import Record
from .facts import AXES, Comparison, Entry, groups, machine_of
from .statistics import Effect, Mean

MISSING = "missing"


class Field(NamedTuple):
    """One field of a table.

    Attributes
    ----------
    text
        The value.
    note
        A remark below the value.
    link
        Path of the record that the value comes from; None: no link.
    """

    text: str
    note: str = ""
    link: str | None = None


class Table(NamedTuple):
    """A table.

    Attributes
    ----------
    title
        The heading.
    head
        Names of the columns, the first being that of the row names.
    rows
        {name of a group of rows: (name, fields) of each row}; a group without a name has no
        heading. The row of the evolution is highlighted.
    """

    title: str
    head: list[str]
    rows: Mapping[str, list[tuple[str, list[Field]]]]


class Block(NamedTuple):
    """Tables under one heading.

    Attributes
    ----------
    title, remark
        The heading, and what explains the values.
    tables
        One for each axis.
    is_folded
        Whether readers unfold it.
    """

    title: str
    remark: str
    tables: list[Table]
    is_folded: bool = False


def percent(value: float) -> str:
    """Format a share as percent.

    Examples
    --------
    >>> percent(0.91)
    '91.00'
    """
    return f"{100 * value:.2f}"


def bounds(found: Mean | Effect, written: Callable[[float], str] = percent) -> str:
    """Format the bounds of an interval; empty where it has none.

    Examples
    --------
    >>> bounds(Mean(0.9, 0.89, 0.92))
    '89.00 to 92.00'
    """
    if found.low is None or found.high is None:
        return ""
    return f"{written(found.low)} to {written(found.high)}"


def median_of(records: Iterable[Record], value: Callable[[Record], float]) -> float | None:
    """Median of a value over records; None where there is none."""
    values = [value(record) for record in records]
    return statistics.median(values) if values else None


def first_record(entry: Entry) -> Record | None:
    """The record of the first seed that has one."""
    return entry.records[min(entry.records)] if entry.records else None


def axis_table(
    facts: Comparison,
    axis: Axis,
    fields: Callable[[Entry], list[Field]],
    columns: Sequence[str] = ("",),
    methods: Mapping[str, list[str]] | None = None,
) -> Table:
    """Make the table of an axis: a row for each method, and columns for each budget.

    Parameters
    ----------
    facts, axis
        What is shown.
    fields
        Makes the fields of an entry (method and budget), one for each of `columns`.
    columns
        Names of the columns of a budget, behind the budget.
    methods
        {name of a group of rows: methods}; default: all but those in equal seconds.
    """
    head = ["method", *(f"{budget:g}x{name}" for budget in axis.budgets for name in columns)]
    shown = groups(facts, axis) if methods is None else methods
    rows = {
        group: [
            (name, [field for entry in facts.row(axis, name) for field in fields(entry)])
            for name in names
        ]
        for group, names in shown.items()
    }
    return Table(AXES[axis.resource], head, rows)


def by_machine(
    machines: Sequence[str],
    entry: Entry,
    value: Callable[[Record], float],
    written: Callable[[float], str],
) -> str:
    """Format a value that depends on the machine: its median over seeds on each machine."""
    medians = [
        median_of((found for found in entry.records.values() if machine_of(found) == one), value)
        for one in machines
    ]
    return " / ".join("\N{EN DASH}" if median is None else written(median) for median in medians)


def machines_remark(machines: Sequence[str]) -> str:
    """Explain values by machine; empty where the contest ran on one machine."""
    if len(machines) < 2:
        return ""
    return (
        f" The cells ran on {len(machines)} machines; each has its own number, in the order of "
        "the environment below. Compare numbers of one machine only."
    )


def html_block(block: Block) -> list[Element]:
    """Write tables under their heading as HTML."""
    parts = [tag("p", block.remark, class_="soft"), *map(_html_table, block.tables)]
    if block.is_folded:
        return [tag("details", tag("summary", tag("h2", block.title)), *parts)]
    return [tag("section", tag("h2", block.title), *parts)]


def _html_table(table: Table) -> Element:
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in table.head)))
    bodies = []
    for group, rows in table.rows.items():
        heading = tag("th", group, colspan=len(table.head), scope="rowgroup")
        named = [tag("tr", heading, class_="group")] if group else []
        bodies.append(tag("tbody", *named, *(_html_row(name, fields) for name, fields in rows)))
    return tag(
        "section",
        tag("h3", table.title),
        tag("div", tag("table", head, *bodies), class_="wide", tabindex=0),
    )


def _html_row(name: str, fields: Sequence[Field]) -> Element:
    return tag(
        "tr",
        tag("th", name, scope="row"),
        *map(_html_field, fields),
        class_="own" if name == EVOLUTION else None,
    )


def _html_field(field: Field) -> Element:
    text = tag("a", field.text, href=field.link) if field.link else field.text
    note = tag("small", field.note) if field.note else None
    return tag("td", text, note, class_="missing" if field.text == MISSING else None)


def markdown_block(block: Block) -> list[str]:
    """Write tables under their heading in Markdown."""
    return [
        f"## {markdown_text(block.title)}",
        markdown_text(block.remark),
        *(
            f"### {markdown_text(table.title)}\n\n{_markdown_table(table)}"
            for table in block.tables
        ),
    ]


def _markdown_table(table: Table) -> str:
    lines = [
        "| " + " | ".join(map(markdown_text, table.head)) + " |",
        "|" + "---|" * len(table.head),
    ]
    for group, rows in table.rows.items():
        if group:
            lines.append(f"| *{markdown_text(group)}* |" + " |" * (len(table.head) - 1))
        lines += [
            f"| {markdown_text(name)} | " + " | ".join(map(_markdown_field, fields)) + " |"
            for name, fields in rows
        ]
    return "\n".join(lines)


def _markdown_field(field: Field) -> str:
    text = markdown_text(field.text)
    if field.link:
        text = f"[{text}]({field.link})"
    return f"{text} ({markdown_text(field.note)})" if field.note else text


def markdown_text(text: str) -> str:
    r"""Escape a text for Markdown, so that no text of a record becomes markup.

    Examples
    --------
    >>> print(markdown_text("a_b"))
    a\_b
    """
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    for sign in "\\`*_[]<>|":
        clean = clean.replace(sign, "\\" + sign)
    return clean


def markdown_list(lines: Sequence[str]) -> str:
    """Write lines of text as a Markdown list."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)
