"""Contests with random fidelities, in which some methods are better by a known amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nni_stress.utils.atomic_files import write_json

from .file import begin_with
from .plan import EVOLUTION, SCRATCH, UNSTRUCTURED, Axis, Cell, Contest, in_equal_seconds
from .records import Founder, Record, Results, cell_path, founder_path, write_record

FOUNDER = Founder(
    parameters=430_500,
    macs=2_293_000,
    validation=0.921,
    test=0.915,
    epochs=8.0,
    architecture={"conv1": [20, 1, 5, 5], "conv2": [50, 20, 5, 5], "fc1": [500, 800]},
)
ORIGIN: Mapping[str, Any] = {
    "commit": "0123456789ab",
    "threads": 1,
    "environment": {"processor": "planted", "cores": "2", "torch": "2.9"},
}
METHODS = (
    EVOLUTION,
    "evolution without stress",
    "L1NormPruner",
    "TaylorPruner",
    "AGPPruner",
    "Torch-Pruning Taylor",
)


class Truth(NamedTuple):
    """What a planted contest is drawn from.

    Attributes
    ----------
    gains
        {method: by how much its fidelity is higher}; all other methods are equally good.
    noise
        Standard deviation of the fidelity over seeds.
    spreads
        {method: its own standard deviation}.
    shared
        Correlation of validation and test fidelity over the seeds of a method.
    founder_noise
        Standard deviation of what a founder adds to all its networks.
    axes
        {resource: budgets}.
    methods, seeds, founders
        Of the contest.
    """

    gains: Mapping[str, float] = {}
    noise: float = 0.0035
    spreads: Mapping[str, float] = {}
    shared: float = 0.9
    founder_noise: float = 0.0
    axes: Mapping[str, Sequence[float]] = {"parameters": (10.0, 44.0)}
    methods: Sequence[str] = METHODS
    seeds: Sequence[int] = tuple(range(1, 11))
    founders: Sequence[int] = (1, 2, 3)


def draw(truth: Truth, seed: int = 0, folder: Path = Path("planted")) -> Results:
    """Draw all records of a contest, without a file.

    Parameters
    ----------
    truth
        What is drawn from.
    seed
        Of the random fidelities.
    folder
        Where the records would be.

    Examples
    --------
    >>> len(draw(Truth(methods=("evolution", "AGPPruner"))).records)
    40
    """
    rng = np.random.default_rng(seed)
    contest = _contest(truth)
    founders = dict.fromkeys(contest.founders, FOUNDER)
    shifts = {number: truth.founder_noise * rng.standard_normal() for number in founders}
    records = {}
    for cell in contest.cells():
        mean = 0.9 - 0.02 * np.log10(cell.budget) + truth.gains.get(cell.method, 0.0)
        spread = truth.spreads.get(cell.method, truth.noise)
        common, own = rng.standard_normal(2)
        noise = truth.shared * common + np.sqrt(1 - truth.shared**2) * own
        start = mean + shifts[cell.founder]
        found = record(cell, float(start + spread * common), float(start + spread * noise))
        path = cell_path(Path(), cell).as_posix()
        records[cell] = Record(cell=cell, path=path, **found)
    return Results(folder.name, folder, contest, founders, records, [])


def plant(folder: Path, truth: Truth | None = None, seed: int = 0) -> Path:
    """Write the folder of such a contest, as :func:`draw` makes it; return the folder."""
    results = draw(truth or Truth(), seed, folder)
    contest = results.contest
    begin_with(
        {
            **contest._asdict(),
            "founders": list(contest.founders),
            "seeds": list(contest.seeds),
            "axes": {
                axis.resource: {"budgets": list(axis.budgets), "methods": list(axis.methods)}
                for axis in contest.axes
            },
        },
        folder,
    )
    for number, founder in results.founders.items():
        founder_path(folder, number).parent.mkdir(exist_ok=True)
        write_json(founder_path(folder, number), founder._asdict())
    for cell, found in results.records.items():
        fields = found._asdict()
        write_record(folder, cell, {name: fields[name] for name in fields if name != "path"})
    return folder


def record(cell: Cell, test: float, validation: float, **changes: Any) -> dict[str, Any]:
    """What a cell found, as :class:`~.records.Record` has it, with the given fidelities.

    Parameters
    ----------
    cell
        The cell.
    test, validation
        Fidelity of its network.
    **changes
        Other fields.
    """
    share = 1 / cell.budget
    uses = {
        "parameters": share,
        "macs": share,
        "latency": share**0.5,
        "clusters": share**0.5,
        cell.resource: share,
    }
    if cell.method in UNSTRUCTURED:
        uses.update(macs=1.0, latency=1.0, clusters=1.0)
    search = 0.0 if cell.method == SCRATCH else 6.0
    longer = 1.5 if in_equal_seconds(cell.method) else 1.0
    final = longer * (18.0 - search)
    gone = np.exp(-np.arange(int(final) + 1) / 3.0)
    return {
        "validation": validation,
        "test": test,
        "curve": [float(value) for value in validation - 0.02 * (gone - gone[-1])],
        "uses": uses,
        "architecture": {"conv1": [5, 1, 5, 5], "conv2": [9, 5, 5, 5], "fc1": [50, 144]},
        "epochs": {"search": search, "final": final},
        "seconds": {"search": 20.0 * search, "final": 10.0 * final},
        "learning_rate": 0.004,
        "trials": [
            {"validation": validation - 0.01, "epochs": search, "knobs": {"learning_rate": 0.002}}
        ],
        "origin": dict(ORIGIN),
        **changes,
    }


def _contest(truth: Truth) -> Contest:
    methods = {
        resource: tuple(
            method
            for method in truth.methods
            if method not in UNSTRUCTURED or resource == "parameters"
        )
        for resource in truth.axes
    }
    return Contest(
        task="trials.lenet5:make_task",
        axes=tuple(
            Axis(resource, tuple(budgets), methods[resource])
            for resource, budgets in truth.axes.items()
        ),
        founders=tuple(truth.founders),
        seeds=tuple(truth.seeds),
        search_epochs=6.0,
        final_epochs=12.0,
        learning_rate=0.004,
    )
