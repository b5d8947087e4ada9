"""Cells that several processes share: each is run by one of them, and recorded once."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nni_stress.utils.atomic_files import read_json, write_json

from . import checkout
from .environment import environment


@contextmanager
def claimed(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock, which ends with the process; gives whether it was free.

    Parameters
    ----------
    file
        The lock's file, which is made with its folder.
    wait
        Whether to wait until it is free.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "cell.lock")
    >>> with claimed(file) as free, claimed(file) as again:
    ...     free, again
    (True, False)
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def run_cells(
    cells: Mapping[str, Callable[[], dict[str, Any]]],
    results: Path,
    locks: Path,
    show: Callable[[dict[str, Any]], Any],
) -> None:
    """Run every cell that has no record and on which no other process is at work.

    Parameters
    ----------
    cells
        {name: makes its record}.
    results
        Folder of the records.
    locks
        Folder of the locks.
    show
        What is printed of a record.
    """
    for name, make in cells.items():
        file = results / f"{name}.json"
        with claimed(locks / f"{name}.lock") as free:
            if free and not file.exists():
                record = make()
                write_json(file, record)
                print(f"{name}: {show(record)}", flush=True)


def records_in(results: Path) -> list[dict[str, Any]]:
    """All records of a folder, by name."""
    return [read_json(file) for file in sorted(results.glob("*.json"))]


def provenance() -> dict[str, Any]:
    """What every record says of where it comes from."""
    return {
        "threads": torch.get_num_threads(),
        "commit": checkout.commit(),
        "environment": environment(),
    }
