"""The facts of a contest as named tuples, from which everything shown is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ...significance import corrected
from ..plan import EVOLUTION, RIVALS, Axis, Cell, in_equal_seconds
from ..records import Record, Results
from .statistics import Effect, Mean, mean_of, welch

AXES = {"parameters": "Parameters", "macs": "MACs", "latency": "Latency"}
LESS = {"parameters": "fewer parameters", "macs": "fewer MACs", "latency": "less latency"}


class Key(NamedTuple):
    """Place of an entry: a method at a budget of an axis's resource."""

    resource: str
    budget: float
    method: str


class Entry(NamedTuple):
    """One method at one budget.

    Attributes
    ----------
    key
        Which.
    records
        {seed: record}.
    missing
        Seeds without a record.
    validation
        Mean validation fidelity over the seeds; None where there is no record.
    test
        Mean test fidelity over the seeds; None where there is no record.
    lead
        The evolution's test fidelity minus this method's; None for the evolution itself, or where
        one of both has no record.
    p
        p value of the lead, corrected for all methods and budgets of the axis. It describes; the
        verdict has its own.
    """

    key: Key
    records: Mapping[int, Record]
    missing: Sequence[int]
    validation: float | None
    test: Mean | None
    lead: Effect | None
    p: float | None


Entries = Mapping[Key, Entry]


class Comparison(NamedTuple):
    """All facts of a contest.

    Attributes
    ----------
    results
        What was recorded.
    entries
        {key: entry}, of every method at every budget of every axis.
    """

    results: Results
    entries: Entries

    @property
    def axes(self) -> Sequence[Axis]:
        """All axes, in the order of the contest's file."""
        return self.results.contest.axes

    def entry(self, resource: str, budget: float, method: str) -> Entry:
        """One entry."""
        return self.entries[Key(resource, budget, method)]

    def row(self, axis: Axis, method: str) -> list[Entry]:
        """The entries of a method, in the order of the axis's budgets."""
        return [self.entry(axis.resource, budget, method) for budget in axis.budgets]

    @property
    def machines(self) -> list[str]:
        """All processors that cells ran on; seconds compare within one only."""
        records = self.results.records.values()
        return list(dict.fromkeys(machine_of(record) for record in records))


def machine_of(record: Record) -> str:
    """Processor that a cell ran on."""
    environment = record.origin.get("environment")
    known = environment if isinstance(environment, Mapping) else {}
    return str(known.get("processor", "not recorded"))


def compare(results: Results) -> Comparison:
    """Compare the evolution with every other method, at every budget of every axis."""
    entries: dict[Key, Entry] = {}
    for axis in results.contest.axes:
        found = _entries(results, axis)
        for group in (_in_equal_steps, in_equal_seconds):
            keys = [key for key in found if group(key.method)]
            leads = [found[key].lead for key in keys]
            p_values = corrected([lead and lead.p for lead in leads])
            entries.update({key: found[key]._replace(p=p) for key, p in zip(keys, p_values)})
    return Comparison(results, entries)


def _in_equal_steps(method: str) -> bool:
    return not in_equal_seconds(method)


def _entries(results: Results, axis: Axis) -> dict[Key, Entry]:
    contest = results.contest
    entries = {}
    for budget in axis.budgets:
        cells = {
            method: [
                Cell(axis.resource, budget, method, contest.founder_of(seed), seed)
                for seed in contest.seeds
            ]
            for method in axis.methods
        }
        records = {
            method: {cell.seed: results.records[cell] for cell in those if cell in results.records}
            for method, those in cells.items()
        }
        own = _tests(records[EVOLUTION])
        for method, found in records.items():
            validation = [record.validation for record in found.values()]
            tests = _tests(found)
            key = Key(axis.resource, budget, method)
            entries[key] = Entry(
                key=key,
                records=found,
                missing=[seed for seed in contest.seeds if seed not in found],
                validation=mean_of(validation).mean if validation else None,
                test=mean_of(tests) if tests else None,
                lead=None if method == EVOLUTION else welch(own, tests),
                p=None,
            )
    return entries


def _tests(records: Mapping[int, Record]) -> list[float]:
    return [record.test for record in records.values()]


def rival(entries: Entries, resource: str, budget: float) -> Entry | None:
    """The rival at a budget: the one with the best mean fidelity on validation data.

    Parameters
    ----------
    entries
        {key: entry}.
    resource, budget
        Where.

    Returns
    -------
    Entry or None
        None where no rival has a record.
    """
    # Nothing but validation fidelity is read here, so no test data can choose.
    validation = {
        key: found
        for key in _rivals(resource, budget)
        if key in entries and (found := entries[key].validation) is not None
    }
    if not validation:
        return None
    return entries[max(validation, key=lambda key: validation[key])]


def count_rivals(entries: Entries, resource: str, budget: float) -> int:
    """Number of rivals that one was picked among."""
    keys = _rivals(resource, budget)
    return sum(key in entries and bool(entries[key].records) for key in keys)


def _rivals(resource: str, budget: float) -> list[Key]:
    return [Key(resource, budget, method) for method in RIVALS]
