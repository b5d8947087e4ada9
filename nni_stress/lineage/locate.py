"""Finds a lineage: by its folder, by NNI's id of the experiment, or the newest. Reads only.

Without NNI, whose import takes a second, and whose readers of these files run code that the files name.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

from ..utils.atomic_files import read_json

NNI_HOME = Path("~/nni-experiments")  # where nnictl notes all experiments


def find_lineage(
    name: str | None = None, nni_home: Path = NNI_HOME, runs: Path = Path("runs")
) -> Path:
    """The folder of a lineage, the one that holds state.json.

    Parameters
    ----------
    name
        A lineage's folder, a folder that holds it (a run's, or NNI's of the experiment), or NNI's id of an experiment; None:
        the lineage that changed last, of those that NNI knows and those below `runs`.
    nni_home, runs
        Where nnictl notes its experiments, and where runs are made.

    Raises
    ------
    ValueError
        If there is none, in words that say where it was looked for.
    """
    experiments = _experiments(nni_home.expanduser())
    if name is None:
        found = [
            folder for home in experiments.values() if (folder := _holds_state(_candidates(home)))
        ]
        found += [path.parent for path in runs.glob("*/lineage/state.json")]
        if not found:
            raise ValueError(
                f"no lineage found: NNI knows of none, and there is none in {runs.resolve()}; name a folder"
            )
        return max(found, key=lambda folder: (folder / "state.json").stat().st_mtime)
    if not Path(name).is_dir() and name not in experiments:
        raise ValueError(
            f"expected a folder or the id of an experiment that NNI knows, but got {name!r}"
        )
    candidates = _candidates(Path(name) if Path(name).is_dir() else experiments[name])
    found = _holds_state(candidates)
    if found is None:
        raise ValueError(
            f"no lineage of {name!r}: no state.json in {', '.join(map(str, candidates))}"
        )
    return found


def _experiments(nni_home: Path) -> dict[str, Path]:
    """NNI's folders of the experiments that nnictl knows, by id."""
    try:
        known = read_json(nni_home / ".experiment")
        return {id: Path(entry["logDir"], id) for id, entry in known.items()}
    except (
        OSError,
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
    ):  # there is none, or not of a form that we know
        return {}


def _candidates(folder: Path) -> list[Path]:
    """Where a folder's lineage may be: itself, in a run's folder, or where NNI's experiment in this folder has it."""
    configured = _configured(folder)
    return [
        folder,
        folder / "lineage",
        folder / "checkpoint" / "lineage",
        *([configured] if configured else []),
    ]


def _configured(folder: Path) -> Path | None:
    """The tuner's `folder` in the experiment whose files NNI keeps here; relative to where NNI starts its tuners."""
    database = folder.resolve() / "db" / "nni.sqlite"
    if not database.is_file():
        return None
    try:
        with contextlib.closing(
            sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
        ) as connection:
            row = connection.execute(
                "select params from ExperimentProfile order by revision desc limit 1"
            ).fetchone()
        return folder / "log" / json.loads(row[0])["tuner"]["classArgs"]["folder"]
    except (sqlite3.Error, ValueError, KeyError, TypeError):
        return None


def _holds_state(folders: list[Path]) -> Path | None:
    return next((folder for folder in folders if (folder / "state.json").is_file()), None)
