"""Tables of a report, as they are written in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nni_stress.visualization.markup import Element, tag

from ...markdown import markdown_table, markdown_text
from ..plan import EVOLUTION

MISSING = "missing"  # text of a field without a value


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
    rows: list[list[str]] = []
    for group, members in table.rows.items():
        if group:
            rows.append([f"*{markdown_text(group)}*", *[""] * (len(table.head) - 1)])
        rows += [[markdown_text(name), *map(_markdown_field, fields)] for name, fields in members]
    return markdown_table([markdown_text(name) for name in table.head], rows)


def _markdown_field(field: Field) -> str:
    text = markdown_text(field.text)
    if field.link:
        text = f"[{text}]({field.link})"
    return f"{text} ({markdown_text(field.note)})" if field.note else text
