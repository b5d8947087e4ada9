"""Run the study: ``python -m reports.stress_study``.

    python -m reports.stress_study            # all cells not yet recorded
    python -m reports.stress_study --pilot    # those by which learning rates are chosen
    python -m reports.stress_study --table    # what is recorded so far
    python -m reports.stress_study --figure FILE.png

Any number of processes may share the work, one a core. A cell that was interrupted is run again.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import checkout
from ..claims import records_in, run_cells
from . import analysis
from .figure import draw
from .plan import PILOT, RATES, SUBJECTS, Cell, cells, pilot
from .running import founder_of, run_cell

RESULTS = checkout.RESULTS / "stress"
FOUNDERS = checkout.RESULTS / "founders"
_SHORT, _LONG = ("10", "30", "100"), ("300", "1 epoch", "4 epochs")


def run(chosen: list[Cell], results: Path, founders: Path, rates: tuple[float, ...]) -> None:
    """Run every cell that has no record and on which no other process is at work."""

    def record_of(cell: Cell) -> dict[str, Any]:
        subject = SUBJECTS[cell.subject]
        return run_cell(cell, subject, founder_of(subject, cell.founder, founders), rates)

    makers = {cell.name: partial(record_of, cell) for cell in chosen}
    run_cells(makers, results, founders, lambda record: record["seconds"])


def tables(results: Path) -> str:
    """All tables of what is recorded, in Markdown."""
    records = records_in(results)
    return "\n\n".join(
        f"{name}, {times:g}x fewer {resource}\n\n{analysis.table(records, name, resource)}"
        for name, subject in SUBJECTS.items()
        for resource, times in subject.budgets.items()
    )


def rates_of(results: Path) -> str:
    """The learning rates that the pilot chooses."""
    records = records_in(results)
    found = []
    for name in PILOT:
        own = [one for one in records if one["subject"] == name]
        short, long = (analysis.best_rate(own, points) for points in (_SHORT, _LONG))
        found.append(f"{name}: {short:g} up to 100 steps, {long:g} beyond")
    return "\n".join(found)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.stress_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pilot", action="store_true", help="the pilot instead of the study")
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    parser.add_argument("--figure", type=Path, help="draw what is recorded, run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--founders", type=Path, default=FOUNDERS, help="folder of the founders")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = options.results / "pilot" if options.pilot else options.results
    if options.figure is not None:
        draw(records_in(results), options.figure)
        return
    if not options.table:
        chosen = pilot() if options.pilot else cells()
        run(chosen, results, options.founders, RATES if options.pilot else ())
    print(rates_of(results) if options.pilot else tables(results))


if __name__ == "__main__":
    main()
