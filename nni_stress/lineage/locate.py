"""Finds a lineage by its folder, by NNI's id of its experiment, or as the newest one.

It only reads, and does not import NNI: that takes a second, and NNI's readers of these files run
code that the files name.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..utils.atomic_files import read_json
from . import nni_database

NNI_HOME = Path("~/nni-experiments")  # where nnictl keeps its list of experiments


def find_lineage(
    name: str | None = None, nni_home: Path = NNI_HOME, runs: Path = Path("runs")
) -> Path:
    """Return the folder of a lineage, which holds state.json.

    Parameters
    ----------
    name
        A folder or an id. The folder is that of a lineage, or one that holds it: a run's folder or
        NNI's folder of an experiment. The id is NNI's id of an experiment. None: the lineage that
        changed last, among those of all experiments that nnictl knows and those below `runs`.
    nni_home
        Folder in which nnictl keeps its list of experiments.
    runs
        Folder in which runs are made.

    Raises
    ------
    ValueError
        If there is no such lineage; the message names the folders that were searched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     (Path(folder) / "lineage").mkdir()
    ...     _ = (Path(folder) / "lineage" / "state.json").write_text("{}")
    ...     find_lineage(folder).name
    'lineage'
    """
    experiments = _experiments(nni_home.expanduser())
    if name is None:
        return _newest(list(experiments.values()), runs)
    if not Path(name).is_dir() and name not in experiments:
        raise ValueError(
            f"expected a folder or the id of an experiment that NNI knows, but got {name!r}"
        )
    candidates = _candidates(Path(name) if Path(name).is_dir() else experiments[name])
    found = _first_with_state(candidates)
    if found is None:
        raise ValueError(
            f"no lineage of {name!r}: no state.json in {', '.join(map(str, candidates))}"
        )
    return found


def check_unused(folder: str | Path) -> None:
    """Check that an experiment may begin in a folder: it holds no lineage, or one without owner.

    Raises
    ------
    ValueError
        If it holds the lineage of an experiment.

    Examples
    --------
    >>> check_unused("/no/such/folder")
    """
    file = Path(folder) / "state.json"
    if not file.exists():
        return
    state: dict[str, object] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        state = dict(read_json(file))
    if state.get("experiment", "unknown") is not None:  # None: as `nni_stress.evolve` leaves it
        raise ValueError(
            f"{folder} already holds a lineage; name another folder, or go on by `nnictl resume`"
        )


def experiment_folder(name: str, nni_home: Path = NNI_HOME) -> Path | None:
    """Return NNI's folder of an experiment; None if there is no such experiment.

    Parameters
    ----------
    name
        NNI's id of the experiment, or its folder.
    nni_home
        Folder in which nnictl keeps its list of experiments.

    Examples
    --------
    >>> experiment_folder("no such experiment") is None
    True
    """
    folder = Path(name)
    if not folder.is_dir():
        known = _experiments(nni_home.expanduser())
        if name not in known:
            return None
        folder = known[name]
    return folder if (folder / "db" / "nni.sqlite").is_file() else None


def _newest(experiments: list[Path], runs: Path) -> Path:
    """Return the lineage that changed last."""
    of_experiments = [_first_with_state(_candidates(folder)) for folder in experiments]
    found = [folder for folder in of_experiments if folder is not None]
    found += [path.parent for path in runs.glob("*/lineage/state.json")]
    if not found:
        raise ValueError(
            f"no lineage found: NNI knows of none, and there is none in {runs.resolve()}; "
            "name a folder"
        )
    return max(found, key=lambda folder: (folder / "state.json").stat().st_mtime)


def _experiments(nni_home: Path) -> dict[str, Path]:
    """Return NNI's folders of the experiments that nnictl knows, by id.

    There are none if nnictl's list is missing or has an unknown format.
    """
    try:
        known = read_json(nni_home / ".experiment")
        return {id: Path(entry["logDir"], id) for id, entry in known.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}


def _candidates(folder: Path) -> list[Path]:
    """Return the folders in which the lineage of a folder may be.

    They are the folder itself, its place in a run's folder, and the places in NNI's folder of an
    experiment: the default, and the one that the experiment's configuration names.
    """
    candidates = [folder, folder / "lineage", folder / "checkpoint" / "lineage"]
    configured = _configured(folder)
    if configured is not None:
        candidates.append(configured)
    return candidates


def _configured(folder: Path) -> Path | None:
    """Return the tuner's ``folder`` argument in the experiment that NNI keeps in `folder`.

    A relative path starts from the folder in which NNI starts its tuners. None if there is no such
    experiment, or it has no such argument.
    """
    try:
        with nni_database.open_read_only(folder) as database:
            config = nni_database.experiment_config(database)
        return Path(folder, "log", config["tuner"]["classArgs"]["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _first_with_state(folders: list[Path]) -> Path | None:
    return next((folder for folder in folders if (folder / "state.json").is_file()), None)
