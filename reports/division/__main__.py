"""How an evolution should divide its steps: ``python -m reports.division``.

    python -m reports.division           # all cells not yet recorded
    python -m reports.division --table   # what is recorded so far

Any number of processes may share the work, one a core. A cell that was interrupted is run again.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .. import checkout
from ..claims import records_in, run_cells
from ..stress_study.__main__ import FOUNDERS
from ..stress_study.plan import SUBJECTS as FOUNDERS_OF
from ..stress_study.running import founder_of
from . import analysis
from .plan import SUBJECTS, Cell, cells
from .running import run_cell

RESULTS = checkout.RESULTS / "division"


def run(chosen: list[Cell], results: Path, founders: Path) -> None:
    """Run every cell that has no record and on which no other process is at work."""

    def record_of(cell: Cell) -> dict[str, Any]:
        founder = founder_of(FOUNDERS_OF[cell.subject], cell.founder, founders)
        return run_cell(cell, SUBJECTS[cell.subject], founder)

    makers = {cell.name: partial(record_of, cell) for cell in chosen}
    run_cells(
        makers, results, founders, lambda record: f"{record['test']:.4f}, {record['seconds']} s"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.division",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--founders", type=Path, default=FOUNDERS, help="folder of the founders")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    logging.getLogger("nni").setLevel(logging.WARNING)  # it prints every intermediate result
    if not options.table:
        run(cells(), options.results, options.founders)
    records = records_in(options.results)
    for look in (analysis.first_look, analysis.second_look):
        print(f"{analysis.table(look(records))}\n")


if __name__ == "__main__":
    main()
