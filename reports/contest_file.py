"""Reads and checks a contest's file, in one line for each fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.atomic_files import refuse_code, write_atomically
from nni_stress.utils.messages import one_line, short
from nni_stress.utils.regular_files import read_text
from nni_stress.utils.yaml_files import MOST_BYTES, parse_yaml, read_yaml

from .contest import ABLATIONS, LONG, METHODS, Contest, is_number

# Records compare only within a contest of the same values of these fields.
_FIXED = ("task", "task_arguments", "trials", "epochs", "evolution")


def read_contest(file: str | Path) -> Contest:
    """Read and check a contest's file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        Naming the first fault: what was got, and what was expected.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no contest file at {file}")
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise DamagedFileError(
            f"{file.name} must hold the fields of a contest, but got {short(content)}"
        )
    try:
        refuse_code(content)
        return _contest_from(content)
    except (TypeError, ValueError) as error:
        raise DamagedFileError(f"{file.name}: {one_line(error)}") from None


def begin(file: Path, folder: Path, task: str | None = None) -> Contest:
    """Put a contest's file into the folder of its records.

    Parameters
    ----------
    file
        The contest's file.
    folder
        Made where it does not exist.
    task
        Replaces the task of the file, and its arguments by none.

    Raises
    ------
    ValueError, FileNotFoundError
        As :func:`read_contest`; and if the folder holds a contest whose records would not compare
        with those of this one.
    """
    read_contest(file)
    text = read_text(file, MOST_BYTES)
    content = parse_yaml(text)
    if task is not None:
        content = {**content, "task": task, "task_arguments": {}}
        text = yaml.safe_dump(content, sort_keys=False)
    contest = _begin(content, folder)
    target = folder / "contest.yml"
    if task is not None or not target.exists() or not target.samefile(file):
        write_atomically(target, text.encode("utf-8"))
    return contest


def begin_with(content: Mapping[str, Any], folder: Path) -> Contest:
    """Put a contest into the folder of its records, as :func:`begin` does.

    Parameters
    ----------
    content
        The fields of a contest's file.
    folder
        Made where it does not exist.

    Raises
    ------
    ValueError
        Naming the first fault; or if the folder holds a contest whose records would not compare.
    """
    contest = _begin(content, folder)
    text = yaml.safe_dump(dict(content), sort_keys=False)
    write_atomically(folder / "contest.yml", text.encode("utf-8"))
    return contest


def _begin(content: Mapping[str, Any], folder: Path) -> Contest:
    """Make the folder of a contest, unless it holds another one."""
    contest = _contest_from(content)
    target = folder / "contest.yml"
    if target.exists():
        present = read_contest(target)
        for name in _FIXED:
            if getattr(present, name) != getattr(contest, name):
                raise ValueError(f"{folder} holds a contest of another {name}, name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return contest


def _contest_from(content: Mapping[str, Any]) -> Contest:
    _check_names(content)
    _check_list(content, "methods", METHODS.__contains__, f"names among {', '.join(METHODS)}")
    _check_list(content, "budgets", _is_budget, "numbers above 1")
    _check_list(content, "seeds", _is_seed, "whole numbers of at least 0")
    _check_values(content)
    lists = {name: tuple(content[name]) for name in ("methods", "budgets", "seeds")}
    contest = Contest(**{**content, **lists})
    if any(method in ABLATIONS or method.endswith(LONG) for method in contest.methods):
        _check_evolution(contest)
    return contest


def _check_names(content: Mapping[str, Any]) -> None:
    unknown = [name for name in content if name not in Contest._fields]
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; known are {', '.join(Contest._fields)}")
    required = [name for name in Contest._fields if name not in Contest._field_defaults]
    missing = [name for name in required if name not in content]
    if missing:
        raise ValueError(f"{missing[0]} is missing")


def _check_list(
    content: Mapping[str, Any], name: str, is_valid: Callable[[Any], bool], expected: str
) -> None:
    values = content[name]
    if not isinstance(values, list) or not values or not all(map(is_valid, values)):
        raise ValueError(f"{name} must be a list of {expected}, but got {values!r}")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must differ from each other, but got {values!r}")


def _is_budget(value: Any) -> bool:
    return is_number(value) and value > 1


def _is_seed(value: Any) -> bool:
    return type(value) is int and value >= 0


def _check_values(content: Mapping[str, Any]) -> None:
    for name in ("trials", "concurrency", "threads"):
        value = content.get(name, 1)
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
    epochs, task = content["epochs"], content["task"]
    if not is_number(epochs) or epochs <= 0:
        raise ValueError(f"epochs must be a number above 0, but got {epochs!r}")
    if not isinstance(task, str) or ":" not in task:
        raise ValueError(f"task must name a function, as trials.lenet5:make_task, but got {task!r}")
    for name in ("task_arguments", "evolution", "training_service"):
        if not isinstance(content.get(name, {}), Mapping):
            raise ValueError(f"{name} must be a mapping, but got {content[name]!r}")


def _check_evolution(contest: Contest) -> None:
    found = contest.evolution
    if set(found) != {"generations", "tolerance", "stress_epochs", "space"} or not isinstance(
        found["space"], Mapping
    ):
        raise ValueError(
            "evolution must be {generations, tolerance, stress_epochs, space}, but got "
            f"{', '.join(found) or 'nothing'}"
        )
    generations, stress_epochs = found["generations"], found["stress_epochs"]
    if type(generations) is not int or generations < 1 or contest.trials % generations:
        raise ValueError(
            f"generations must divide the {contest.trials} trials, but got {generations!r}"
        )
    if not is_number(stress_epochs) or not 0 <= stress_epochs < contest.epochs:
        raise ValueError(
            f"stress_epochs must lie in [0, {contest.epochs:g}), the epochs of a trial, "
            f"but got {stress_epochs!r}"
        )
