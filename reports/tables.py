"""Tables of a report, and how they are written in HTML and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nni_stress.visualization.markup import Element, tag

from .collect import Outcome
from .compare import Comparison, Entry, median_or_none
from .contest import EVOLUTION
from .significance import Interval

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
    title, remark
        The heading, and a sentence that explains the values.
    head
        Names of the columns, the first being that of the row names.
    rows
        (name, fields) of each row; the row named :data:`~reports.contest.EVOLUTION` is highlighted.
    """

    title: str
    remark: str
    head: list[str]
    rows: list[tuple[str, list[Field]]]


def percent(value: float) -> str:
    """Format a share as percent.

    Examples
    --------
    >>> percent(0.91)
    '91.00'
    """
    return f"{100 * value:.2f}"


def bounds(found: Interval, written: Callable[[float], str] = percent) -> str:
    """Format the bounds of an interval; empty where it has none.

    Examples
    --------
    >>> from nni_stress.reports.significance import Interval
    >>> bounds(Interval(0.9, 0.89, 0.92))
    '89.00 to 92.00'
    """
    if found.low is None or found.high is None:
        return ""
    return f"{written(found.low)} to {written(found.high)}"


def grid(
    facts: Comparison, field: Callable[[Entry], Field], methods: Sequence[str], unit: str = ""
) -> tuple[list[str], list[tuple[str, list[Field]]]]:
    """Make head and rows of a table with a row for each method and a column for each budget.

    Parameters
    ----------
    facts
        The comparison.
    field
        Makes the field of an entry (method and budget).
    methods
        The rows.
    unit
        Written after the budgets in the head.
    """
    head = ["method", *(f"{budget:g}x{unit}" for budget in facts.budgets)]
    rows = [
        (method, [field(facts.entries[method, budget]) for budget in facts.budgets])
        for method in methods
    ]
    return head, rows


def median_by_machine(
    environments: Sequence[Mapping[str, str]],
    entry: Entry,
    value: Callable[[Outcome], float | None],
    written: Callable[[float], str],
) -> str:
    """Format a value that depends on the machine: its median over seeds on each machine."""
    medians = [
        median_or_none(
            value(outcome)
            for outcome in entry.outcomes.values()
            if outcome.environment == environment
        )
        for environment in environments
    ]
    return " / ".join("\N{EN DASH}" if median is None else written(median) for median in medians)


def machines_remark(environments: Sequence[Mapping[str, str]]) -> str:
    """Explain values by machine; empty where the contest ran on one machine."""
    if len(environments) < 2:
        return ""
    return (
        f" The cells ran on {len(environments)} machines; each has its own number, in the order of "
        "the environment below. Compare numbers of one machine only."
    )


def html_table(table: Table) -> Element:
    """Write a table with its heading and remark as an HTML section."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in table.head)))
    rows = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *map(_html_field, fields),
            class_="own" if name == EVOLUTION else None,
        )
        for name, fields in table.rows
    ]
    return tag(
        "section",
        tag("h2", table.title),
        tag("p", table.remark, class_="soft"),
        tag("div", tag("table", head, tag("tbody", *rows)), class_="wide", tabindex=0),
    )


def _html_field(field: Field) -> Element:
    text = tag("a", field.text, href=field.link) if field.link else field.text
    note = tag("small", field.note) if field.note else None
    return tag("td", text, note, class_="missing" if field.text == MISSING else None)


def markdown_table(table: Table) -> str:
    """Write a table with its heading and remark in Markdown."""
    head = [
        "| " + " | ".join(map(markdown_text, table.head)) + " |",
        "|" + "---|" * len(table.head),
    ]
    rows = [
        f"| {markdown_text(name)} | " + " | ".join(map(_markdown_field, fields)) + " |"
        for name, fields in table.rows
    ]
    return f"## {markdown_text(table.title)}\n\n{markdown_text(table.remark)}\n\n" + "\n".join(
        [*head, *rows]
    )


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
