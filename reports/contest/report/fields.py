"""Makes the tables of an axis, and the texts of their fields."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..plan import EVOLUTION, PARTS, RIVALS, UNSTRUCTURED, Axis
from ..records import Record
from .facts import AXES, Comparison, Entry, machine_of
from .statistics import Effect, Mean, mean_of
from .tables import Field, Table


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


def groups(facts: Comparison, axis: Axis) -> dict[str, list[str]]:
    """The methods of an axis's tables, by kind; rivals are sorted by their validation fidelity.

    Those in equal seconds have a table of their own.
    """
    rivals = [method for method in RIVALS if method in axis.methods]
    rivals.sort(key=lambda method: _mean_validation(facts.row(axis, method)), reverse=True)
    found = {
        "The evolution and its parts": [EVOLUTION, *PARTS],
        "Rivals, best on validation data first": rivals,
        "Removes single synapses: the network keeps its size, and is in no verdict": UNSTRUCTURED,
    }
    known = {
        name: [method for method in methods if method in axis.methods]
        for name, methods in found.items()
    }
    return {name: methods for name, methods in known.items() if methods}


def _mean_validation(row: Iterable[Entry]) -> float:
    known = [entry.validation for entry in row if entry.validation is not None]
    return mean_of(known).mean if known else float("-inf")
