"""Reads and checks a contest's file, in one line for each fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from nni_stress.exceptions import DamagedFileError
from nni_stress.resources import RESOURCES
from nni_stress.utils.atomic_files import refuse_code, write_atomically
from nni_stress.utils.messages import one_line, short
from nni_stress.utils.regular_files import read_text
from nni_stress.utils.yaml_files import MOST_BYTES, parse_yaml, read_yaml

from .plan import EVOLUTION, METHODS, UNSTRUCTURED, Axis, Contest

# Records compare only within a contest of the same values of these fields.
_FIXED = (
    "task",
    "task_arguments",
    "search_epochs",
    "final_epochs",
    "learning_rate",
    "learning_rates",
)


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


def begin(file: Path, folder: Path, task: str | None = None, founders: int = 0) -> Contest:
    """Put a contest's file into the folder of its records.

    Parameters
    ----------
    file
        The contest's file.
    folder
        Made where it does not exist.
    task
        Replaces the task of the file, and its arguments by none.
    founders
        Number of founders that are given as files, in place of those of the file; 0: none are.

    Raises
    ------
    ValueError, FileNotFoundError
        As :func:`read_contest`; and if the folder holds a contest whose records would not compare
        with those of this one.
    """
    read_contest(file)
    text = read_text(file, MOST_BYTES)
    changes: dict[str, Any] = {}
    if task is not None:
        changes.update(task=task, task_arguments={})
    if founders:
        changes.update(founders=list(range(1, founders + 1)))
    content = {**parse_yaml(text), **changes}
    if changes:
        text = yaml.safe_dump(content, sort_keys=False)
    contest = _begin(content, folder)
    target = folder / "contest.yml"
    if changes or not target.exists() or not target.samefile(file):
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
    axes = content["axes"]
    if not isinstance(axes, Mapping) or not axes:
        raise ValueError(f"axes must be {{resource: budgets and methods}}, but got {short(axes)}")
    lists = {}
    for name in ("founders", "seeds"):
        _check_list(content, name, _is_seed, "whole numbers of at least 0")
        lists[name] = tuple(content[name])
    _check_values(content)
    contest = Contest(
        **{**content, **lists, "axes": tuple(_axis(name, axes[name]) for name in axes)}
    )
    if len(contest.founders) > len(contest.seeds):
        raise ValueError(
            f"each founder needs a seed, but got {len(contest.founders)} founders and "
            f"{len(contest.seeds)} seeds"
        )
    return contest


def _axis(resource: Any, content: Any) -> Axis:
    """One entry of `axes`."""
    if resource not in RESOURCES:
        raise ValueError(f"axes must be of {', '.join(RESOURCES)}, but got {resource!r}")
    if not isinstance(content, Mapping) or set(content) != {"budgets", "methods"}:
        raise ValueError(f"{resource} must be {{budgets, methods}}, but got {short(content)}")
    _check_list(content, "budgets", _is_budget, "numbers above 1")
    _check_list(content, "methods", METHODS.__contains__, f"names among {', '.join(METHODS)}")
    unfit = [name for name in content["methods"] if name in UNSTRUCTURED]
    if unfit and resource != "parameters":
        raise ValueError(f"{unfit[0]} removes single synapses, and saves no {resource}")
    if EVOLUTION not in content["methods"]:
        raise ValueError(f"methods of {resource} must have {EVOLUTION!r}, which the others meet")
    return Axis(resource, tuple(content["budgets"]), tuple(content["methods"]))


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


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300


def _is_budget(value: Any) -> bool:
    return _is_number(value) and value > 1


def _is_seed(value: Any) -> bool:
    return type(value) is int and value >= 0


def _check_values(content: Mapping[str, Any]) -> None:
    for name in ("processes", "threads"):
        value = content.get(name, 1)
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
    for name in ("search_epochs", "final_epochs", "learning_rate"):
        value = content.get(name, 1)
        if not _is_number(value) or value <= 0:
            raise ValueError(f"{name} must be a number above 0, but got {value!r}")
    task = content["task"]
    if not isinstance(task, str) or ":" not in task:
        raise ValueError(f"task must name a function, as trials.lenet5:make_task, but got {task!r}")
    if not isinstance(content.get("task_arguments", {}), Mapping):
        raise ValueError(f"task_arguments must be a mapping, but got {content['task_arguments']!r}")
    rates = content.get("learning_rates", {})
    if (
        not isinstance(rates, Mapping)
        or not set(rates) <= set(METHODS)
        or not all(_is_number(rate) and rate > 0 for rate in rates.values())
    ):
        raise ValueError(
            f"learning_rates must be {{method: number above 0}}, but got {short(rates)}"
        )
