"""How long a contest's final training should be, and at which rate: a pilot on validation data.

    python -m reports.contest.pilot reports/compare.yml --folder runs/pilot    # what is missing

With ``--table`` it prints what is recorded so far.

Each kind of method searches once at the last budget of each axis; what it found is trained for half
of the contest's final epochs, for as many, and for twice as many, and for as many at half of the
contest's rate and at twice the rate. Any number of processes may share the work.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nni_stress.trial.task import Task
from nni_stress.utils.seeding import seed_of

from ..claims import provenance, records_in, run_cells
from ..markdown import markdown_table
from .cell import final_training, job_of, usual_rate
from .file import read_contest
from .methods.registry import METHODS
from .plan import Cell, Contest
from .running import prepare_founder
from .source import Source

KINDS = ("evolution", "one-shot StressPruner", "L1NormPruner", "Torch-Pruning Taylor")
FOUNDER = 1
SEEDS = (101, 102)  # they enter no table
# Factors of the final epochs and of the learning rate.
TRAININGS = ((0.5, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0))


def cells(contest: Contest) -> Iterator[Cell]:
    """All searches of the pilot.

    Parameters
    ----------
    contest
        The contest.
    """
    for seed, axis, method in itertools.product(SEEDS, contest.axes, KINDS):
        if method in axis.methods and axis.resource != "latency":
            yield Cell(axis.resource, axis.budgets[-1], method, FOUNDER, seed)


def run(contest: Contest, task: Task, folder: Path, cell: Cell) -> dict[str, Any]:
    """Search once, and train what was found in every way.

    Returns
    -------
    dict
        The cell; "trainings", each with epochs, learning_rate, validation and curve.
    """
    found = METHODS[cell.method](job_of(contest, task, folder, cell))
    usual = usual_rate(contest, task)
    left = contest.search_epochs - found.epochs
    trainings = []
    for longer, higher in TRAININGS:
        network = copy.deepcopy(found.network)
        epochs, rate = longer * contest.final_epochs + left, higher * usual
        seed = seed_of(cell.founder, cell.seed, "final")
        curve, _ = final_training(network, task, epochs, rate, seed)
        trainings.append(
            {
                "final_epochs": longer * contest.final_epochs,
                "learning_rate": rate,
                "validation": max(curve),
                "curve": curve,
            }
        )
    return {**cell._asdict(), "trainings": trainings, **provenance()}


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Mean validation fidelity of each kind of method by length and rate, in percent.

    Examples
    --------
    >>> one = {"final_epochs": 9.0, "learning_rate": 0.008, "validation": 0.9}
    >>> print(table([{"method": "L1NormPruner", "resource": "macs", "trainings": [one]}]))
    | search | 9 epochs at 0.008 |
    |---|---|
    | L1NormPruner, macs | 90.00 |
    | mean | 90.00 |
    """
    found: dict[str, dict[tuple[float, float], list[float]]] = {}
    for record in records:
        row = found.setdefault(f"{record['method']}, {record['resource']}", {})
        for one in record["trainings"]:
            way = one["final_epochs"], one["learning_rate"]
            row.setdefault(way, []).append(100 * one["validation"])
    ways = sorted({way for row in found.values() for way in row})
    heads = [f"{epochs:g} epochs at {rate:g}" for epochs, rate in ways]
    means = {name: [_mean(row.get(way, [])) for way in ways] for name, row in sorted(found.items())}
    overall = [
        _mean([value for value in column if value is not None]) for column in zip(*means.values())
    ]
    rows = [[name, *map(_shown, row)] for name, row in [*means.items(), ("mean", overall)]]
    return markdown_table(["search", *heads], rows)


def _validations(record: Mapping[str, Any]) -> list[float]:
    return [one["validation"] for one in record["trainings"]]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.mean(values) if values else None


def _shown(mean: float | None) -> str:
    return "" if mean is None else f"{mean:.2f}"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.contest.pilot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the contest's file")
    parser.add_argument("--folder", type=Path, required=True, help="folder of records and founder")
    parser.add_argument("--founder", type=Path, help="file of the founder; default: trained")
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    options = parser.parse_args(arguments)
    contest, records = read_contest(options.file), options.folder / "records"
    if not options.table:
        torch.set_num_threads(contest.threads)
        task = Source(contest).task()
        prepare_founder(task, options.folder, FOUNDER, options.founder)
        makers = {
            cell.name: partial(run, contest, task, options.folder, cell) for cell in cells(contest)
        }
        run_cells(makers, records, options.folder / "locks", _validations)
    print(table(records_in(records)))


if __name__ == "__main__":
    main()
