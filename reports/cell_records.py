"""The record of a contest's cell on disk: its trials, and the environment they ran in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_stress.utils.atomic_files import read_json, write_json

from .contest import Cell


def cell_path(folder: Path, cell: Cell) -> Path:
    """Return the file of a cell's record.

    Examples
    --------
    >>> cell_path(Path("contest"), Cell("AGPPruner in long trials", 44, 1)).as_posix()
    'contest/cells/AGPPruner-in-long-trials/44x-1.json'
    """
    return folder / "cells" / cell.method.replace(" ", "-") / f"{cell.budget:g}x-{cell.seed}.json"


def read_cell(folder: Path, cell: Cell) -> list[dict[str, Any]]:
    """Return the recorded trials of a cell, in order; errors as of :func:`read_record`."""
    return read_record(folder, cell).get("trials", [])


def read_record(folder: Path, cell: Cell) -> dict[str, Any]:
    """Return the record of a cell; empty where there is none.

    Raises
    ------
    ValueError
        If the file is damaged, or is the record of another cell.
    """
    path = cell_path(folder, cell)
    try:
        found = read_json(path)
    except FileNotFoundError:
        return {}
    if (
        not isinstance(found, dict)
        or "trials" not in found
        or [found.get(name) for name in Cell._fields] != list(cell)
    ):
        raise ValueError(f"{path} must be of {cell.name}, but is of another cell")
    return found


def write_cell(folder: Path, cell: Cell, trials: list[dict[str, Any]]) -> None:
    """Record a cell's trials with the environment of this run.

    A contest may be resumed on another machine, whose seconds do not compare with these.
    """
    path = cell_path(folder, cell)
    environment = read_json(folder / "environment.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            **cell._asdict(),
            "environment": environment,
            "trials": sorted(trials, key=lambda trial: trial["trial"]),
        },
    )
