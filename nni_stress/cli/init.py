"""`python -m nni_stress init`: the files of an experiment that runs as it is, for the user's own network to be put in."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

TEMPLATES = Path(__file__).with_name("templates")
NAMES = ("stress.yml", "search_space.yml", "trial.py")


def write_starting_files(folder: Path, force: bool = False) -> list[Path]:
    """Write an experiment, its search space and its trial into a folder, all of them or none.

    Parameters
    ----------
    folder
        Made where it does not exist.
    force
        Whether files that are there already are replaced.

    Raises
    ------
    FileExistsError
        If one of the files is there already, or the folder's name is a file's.
    """
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is not a folder")
    found = [name for name in NAMES if os.path.lexists(folder / name)]
    if found and not force:
        raise FileExistsError(
            f"{folder} already holds {', '.join(found)}: name another folder, or replace with --force"
        )
    blocked = [name for name in found if (folder / name).is_dir()]
    if blocked:
        raise FileExistsError(f"{folder / blocked[0]} is a folder, where a file is to be written")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    try:
        for name in NAMES:
            with open(folder / name, "w" if force else "x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write((TEMPLATES / name).read_text(encoding="utf-8"))
    except OSError:
        if not force:  # what was there before is not ours to remove
            for path in written:
                path.unlink(missing_ok=True)
        raise
    return written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path("."), help="default: this folder"
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there already")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Write them, and say what to do with them; an OSError says why not."""
    written = write_starting_files(options.folder, options.force)
    yield f"wrote {', '.join(map(str, written))}"
    there = "" if options.folder.resolve() == Path.cwd() else f"cd {options.folder} && "
    yield f"It runs as it is: {there}nnictl create --config stress.yml"
    yield "Your network, data, loss and fidelity go into trial.py."
