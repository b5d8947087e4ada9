"""``python -m nni_stress init``: the files of an experiment, for your own network to be put in."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

HELP = "write a stress.yml, a search space and a trial to start from"
TEMPLATES = Path(__file__).with_name("templates")
NAMES = ("stress.yml", "search_space.yml", "trial.py")


def write_starting_files(folder: Path, force: bool = False) -> list[Path]:
    """Write an experiment file, its search space and its trial into a folder: all or none.

    The experiment runs as it is, on a small network and scikit-learn's digits.

    Parameters
    ----------
    folder
        Where to write; it is created if it does not exist.
    force
        Whether to replace files that exist.

    Raises
    ------
    FileExistsError
        If one of the files exists and `force` is false, if it is a folder, or if `folder` is a
        file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_starting_files(Path(folder) / "mine")]
    ['stress.yml', 'search_space.yml', 'trial.py']
    """
    _check_target(folder, force)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for name in NAMES:
            with open(folder / name, "w" if force else "x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write((TEMPLATES / name).read_text(encoding="utf-8"))
    except OSError:
        if not force:  # with force, the files may be the user's
            for path in written:
                path.unlink(missing_ok=True)
        raise
    return written


def _check_target(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is not a folder")
    existing = [name for name in NAMES if os.path.lexists(folder / name)]
    if existing and not force:
        raise FileExistsError(
            f"{folder} already holds {', '.join(existing)}: "
            "name another folder, or replace with --force"
        )
    folders = [name for name in existing if (folder / name).is_dir()]
    if folders:
        raise FileExistsError(f"{folder / folders[0]} is a folder, where a file is to be written")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("."), help="default: this folder"
    )
    parser.add_argument("--force", action="store_true", help="replace files that exist")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Write the files, and yield lines that say what to do with them.

    Raises
    ------
    OSError
        If the files exist, or cannot be written.
    """
    written = write_starting_files(options.folder, options.force)
    yield f"wrote {', '.join(map(str, written))}"
    is_here = options.folder.resolve() == Path.cwd()
    change_folder = "" if is_here else f"cd {options.folder} && "
    yield f"Try it out, in seconds: {change_folder}python3 trial.py --check"
    yield f"It runs as it is: {change_folder}nnictl create --config stress.yml"
    yield "Put your network, data, loss and fidelity into trial.py, and check it again."
