"""Text, lists and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_text(text: str) -> str:
    r"""Escape a text, so that no text of a record becomes markup.

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
    """Write lines of text, which are escaped, as a list."""
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, whose fields are Markdown already.

    Parameters
    ----------
    head
        Names of the columns.
    rows
        As many fields each.

    Examples
    --------
    >>> print(markdown_table(["seed", "accuracy"], [["1", "90.1 %"], ["2", ""]]))
    | seed | accuracy |
    |---|---|
    | 1 | 90.1 % |
    | 2 | |
    """
    lines = [_row(head), "|---" * len(head) + "|", *map(_row, rows)]
    return "\n".join(lines)


def _row(fields: Sequence[str]) -> str:
    return "|" + "".join(f" {field} |" if field else " |" for field in fields)
