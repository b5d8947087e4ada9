"""Whether small networks gain by training on their founder's answers, beside the labels.

    python -m reports.distillation reports/compare.yml            # the cells not yet recorded
    python -m reports.distillation reports/compare.yml --table    # what is recorded so far

Any number of processes may share the work.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nni_stress.graph import serialization
from nni_stress.trial.task import Task
from nni_stress.utils.seeding import seed_of

from .. import checkout
from ..claims import provenance, records_in, run_cells
from ..contest.cell import final_rate, final_training, job_of
from ..contest.file import read_contest
from ..contest.methods.registry import METHODS
from ..contest.plan import EVOLUTION, Cell, Contest
from ..contest.records import founder_network
from ..contest.running import prepare_founders
from ..contest.source import Source
from .analysis import table
from .teaching import taught

RESULTS = checkout.RESULTS / "distillation"
WEIGHT, TEMPERATURE = 0.5, 2.0
LONGER = 1.5  # factor of the epochs
# By the stem of the contest's file: budgets, seeds of each founder, epochs of the final training.
PLANS: Mapping[str, tuple[Sequence[tuple[str, float]], Sequence[int], float]] = {
    "compare": ([("parameters", 44), ("macs", 25)], (1, 2, 3, 4), 9),
    "compare-resnet20": ([("macs", 10)], (1, 2), 10),
}


def cells(name: str, founders: Sequence[int]) -> Iterator[Cell]:
    """All cells of a contest's file, the first seed of every founder first."""
    budgets, seeds, _ = PLANS[name]
    for seed, founder, (resource, budget) in itertools.product(seeds, founders, budgets):
        yield Cell(resource, budget, EVOLUTION, founder, seed)


def run(contest: Contest, task: Task, folder: Path, cell: Cell, epochs: float) -> dict[str, Any]:
    """Search once, and train what was found in each way.

    Parameters
    ----------
    contest, task, cell
        What is searched.
    folder
        Holds the founders.
    epochs
        Length of the final training.

    Returns
    -------
    dict
        The cell; the way of training: {"validation", "test", "seconds"}.
    """
    found = METHODS[cell.method](job_of(contest, task, folder, cell))
    founder = serialization.load(founder_network(folder, cell.founder), task.network)
    ways = {
        "plain": (task, epochs),
        "distilled": (taught(task, founder, WEIGHT, TEMPERATURE), epochs),
        "longer": (task, LONGER * epochs),
    }
    rate = final_rate(contest, task, cell.method)
    seed = seed_of(cell.founder, cell.seed, "final")
    trained = {}
    for way, (lessons, length) in ways.items():
        network = copy.deepcopy(found.network)
        begun = time.process_time()
        curve, _ = final_training(network, lessons, length, rate, seed)
        seconds = time.process_time() - begun
        trained[way] = {
            "validation": max(curve),
            "test": float(task.fidelity(network, "test")),
            "seconds": round(seconds, 1),
        }
    return {**cell._asdict(), **trained, **provenance()}


def _tests(record: Mapping[str, Any]) -> dict[str, float]:
    return {way: record[way]["test"] for way in ("plain", "distilled", "longer")}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.distillation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="compare.yml or compare-resnet20.yml")
    parser.add_argument("--founder", type=Path, nargs=3, default=[], help="files of the founders")
    parser.add_argument("--folder", type=Path, default=Path("runs/distillation"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    options = parser.parse_args(arguments)
    name = options.file.stem
    if name not in PLANS:
        raise SystemExit(f"error: the file must be one of {', '.join(PLANS)}, but is {name}")
    contest = read_contest(options.file)
    results, folder = options.results / name, options.folder / name
    if not options.table:
        torch.set_num_threads(1)
        task = Source(contest).task()
        prepare_founders(task, folder, contest.founders, options.founder)
        epochs = PLANS[name][-1]
        makers = {
            cell.name: partial(run, contest, task, folder, cell, epochs)
            for cell in cells(name, contest.founders)
        }
        run_cells(makers, results, folder / "locks", _tests)
    print(table(records_in(results)))


if __name__ == "__main__":
    main()
