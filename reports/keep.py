"""Keeps what an evolution by `make demo` achieved, without its networks:

python -m reports.keep runs/20261124-050000-seed1 alexnet     # writes reports/results/alexnet
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from nni_stress.evolution import selection
from nni_stress.evolution.rules import Rules
from nni_stress.lineage.store import Lineage
from nni_stress.utils.atomic_files import write_atomically, write_json
from nni_stress.utils.messages import one_line
from nni_stress.visualization.text import generations_table

from .checkout import RESULTS


def keep(run: Path, folder: Path, founder: Path | None = None) -> None:
    """Copy the summary, figure and records of a run, and write its table of generations.

    Parameters
    ----------
    run
        The run's folder.
    folder
        Where the files are written; made where it does not exist.
    founder
        JSON file that says how the founder was trained; kept as well.

    Raises
    ------
    FileNotFoundError
        If the run has not ended, or the folder is not that of a run.
    """
    lineage = Lineage(run / "lineage")
    if not (run / "summary.json").exists():
        raise FileNotFoundError(
            f"{run} must be the folder of a run of `make demo` that ended: it has no summary.json"
        )
    records, state = lineage.records(), lineage.read_state() or {}
    survivors = selection.line(selection.by_generation(records), Rules.of(state))
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("summary.json", "frontier.png"):
        shutil.copyfile(run / name, folder / name)
    if founder is not None:
        shutil.copyfile(founder, folder / "founder.json")
    write_json(
        folder / "lineage.json",
        {"state": state, "records": [record._asdict() for record in records]},
    )
    write_json(folder / "survivor.json", survivors[-1]._asdict())
    write_atomically(
        folder / "generations.txt", f"{generations_table(records, survivors)}\n".encode()
    )


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.keep``; an error is one line and exit status 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("name", help="name of the folder to write under reports/results")
    parser.add_argument(
        "--founder", type=Path, help="the .json beside the founder's file, to keep as well"
    )
    options = parser.parse_args(arguments)
    try:
        keep(options.run, RESULTS / options.name, options.founder)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {one_line(error)}")
    print(RESULTS / options.name)


if __name__ == "__main__":
    main()
