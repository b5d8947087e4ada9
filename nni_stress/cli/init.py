"""``python -m nni_stress init``: the files of an experiment, for your own network to be put in."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from ..evolution.one_budget import for_budget
from ..utils.yaml_files import read_yaml

HELP = "write a stress.yml, a search space and a trial to start from"
TEMPLATES = Path(__file__).with_name("templates")
NAMES = ("stress.yml", "search_space.yml", "trial.py")
_EPOCHS = 20.0  # by default, where a budget is named


def write_starting_files(
    folder: Path,
    force: bool = False,
    times: float | None = None,
    epochs: float = _EPOCHS,
) -> list[Path]:
    """Write an experiment file, its search space and its trial into a folder: all or none.

    The experiment runs as it is, on a small network and scikit-learn's digits.

    Parameters
    ----------
    folder
        Where to write; it is created if it does not exist.
    force
        Whether to replace files that exist.
    times, epochs
        As of :func:`nni_stress.for_budget`: one network so many times smaller, with so many epochs
        of training. None: generations of ever smaller networks.

    Raises
    ------
    ValueError
        If `times` is not above 1, or `epochs` is not above 0.
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
    texts = {name: (TEMPLATES / name).read_text(encoding="utf-8") for name in NAMES}
    if times is not None:
        texts.update(_texts_for_budget(times, epochs))
    _check_target(folder, force)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for name in NAMES:
            with open(folder / name, "w" if force else "x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write(texts[name])
    except OSError:
        if not force:  # with force, the files may be the user's
            for path in written:
                path.unlink(missing_ok=True)
        raise
    return written


def _texts_for_budget(times: float, epochs: float) -> dict[str, str]:
    """Experiment file and search space of one budget."""
    arguments = for_budget(times, epochs)
    space = arguments.pop("space")
    experiment = dict(read_yaml(TEMPLATES / "stress.yml"))
    usual = experiment["tuner"]["classArgs"]
    experiment["tuner"]["classArgs"] = {
        "resource": usual["resource"],
        **arguments,
        "seed": usual["seed"],
    }
    what = f"{times:g}x fewer MACs with {epochs:g} epochs of training. See nni_stress.for_budget."
    lines = [f"{name}: {yaml.safe_dump(space[name], default_flow_style=True)}" for name in space]
    return {
        "stress.yml": f"# Evolves the network of trial.py: {what}\n"
        + yaml.safe_dump(experiment, sort_keys=False),
        "search_space.yml": f"# How its offspring differ: {what}\n{''.join(lines)}",
    }


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
    parser.add_argument(
        "--times", type=float, help="one network so many times smaller, in place of generations"
    )
    parser.add_argument(
        "--epochs",
        type=float,
        help=f"of training in all, with --times; default: {_EPOCHS:g}",
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Write the files, and yield lines that say what to do with them.

    Raises
    ------
    OSError
        If the files exist, or cannot be written.
    ValueError
        If a number is out of range, or there are epochs without a budget.
    """
    if options.epochs is not None and options.times is None:
        raise ValueError("--epochs needs --times, which says how small the network is to be")
    epochs = _EPOCHS if options.epochs is None else options.epochs
    written = write_starting_files(options.folder, options.force, options.times, epochs)
    yield f"wrote {', '.join(map(str, written))}"
    is_here = options.folder.resolve() == Path.cwd()
    change_folder = "" if is_here else f"cd {options.folder} && "
    yield f"Try it out, in seconds: {change_folder}python3 trial.py --check"
    yield f"It runs as it is: {change_folder}nnictl create --config stress.yml"
    yield "Put your network, data, loss and fidelity into trial.py, and check it again."
