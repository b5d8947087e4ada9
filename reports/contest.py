"""A contest: methods x budgets x seeds, each cell with the same founder, data, trials and epochs, search included.

The file that describes it, as reports/compare.yml, and the records of its cells::

    <folder>/founder.safetensors, founder.json     the founder of all, and what it achieves
    <folder>/environment.json                      the machine and the versions of the run under way, or the last
    <folder>/cells/L1NormPruner/44x-1.json         the trials of one cell, and the environment they ran in

No torch here: NNI's manager waits but seconds for the tuner that reads this.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from nni_stress.utils.atomic_files import read_json, refuse_code, write_atomically, write_json

BUILTIN = (
    "RandomPruner",
    "LevelPruner",
    "L1NormPruner",
    "L2NormPruner",
    "FPGMPruner",
    "TaylorPruner",
    "SlimPruner",
    "MovementPruner",
    "LinearPruner",
    "AGPPruner",
)
UNSTRUCTURED = (
    "LevelPruner",
)  # removes single synapses: its network keeps its shape, and its latency
# Our own method and its ablations: what each changes in the search space, and in StressTuner's arguments.
EVOLUTION = "evolution"
ABLATIONS: dict[str, tuple[dict, dict]] = {
    EVOLUTION: ({}, {}),
    "evolution without stress": ({"stress_peak": 0.0}, {}),
    "evolution without sampling": ({"temperature": 0.0, "candidates": 1}, {}),
    "evolution in a uniform environment": (
        {"redundancy": 20.0, "early_worth": 1.0, "late_worth": 1.0, "candidates": 1},
        {},
    ),
    "evolution by random search": ({}, {"search": "Random"}),
}
# A built-in pruner that spends the steps of its cell on few trials, each as long as a lineage of the evolution.
LONG = " in long trials"
METHODS = (*ABLATIONS, *BUILTIN, *(f"{method}{LONG}" for method in BUILTIN))


class Cell(NamedTuple):
    """One method with one budget (the founder's synapses / those that may be left) and one seed."""

    method: str
    budget: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.method}, {self.budget:g}x, seed {self.seed}"


class Contest(NamedTuple):
    """What is compared; see reports/compare.yml for the meaning of each."""

    task: str
    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: tuple[int, ...]
    trials: int
    epochs: float
    evolution: Mapping[str, Any]
    task_arguments: Mapping[str, Any] = {}
    concurrency: int = 2
    threads: int = 1
    training_service: Mapping[str, Any] = {"platform": "local"}

    def share(self, method: str) -> tuple[int, float]:
        """How many trials a cell of a method has, and of how many epochs each is; their product is the same for all."""
        generations = self.evolution["generations"] if method.endswith(LONG) else 1
        return self.trials // generations, self.epochs * generations

    def cells(self) -> Iterator[Cell]:
        """All cells, seed by seed, so that a contest that is cut short has whole seeds."""
        for seed in self.seeds:
            for budget in self.budgets:
                for method in self.methods:
                    yield Cell(method, budget, seed)


def read_contest(file: str | Path) -> Contest:
    """Read and check a contest's file.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        Naming the first fault: what was got, and what was expected.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"no contest file at {file}")
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{file.name} must hold the fields of a contest, but got {data!r}")
    try:
        refuse_code(data)
        return _checked(data)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{file.name}: {error}") from None


def begin(file: Path, folder: Path, task: str | None = None) -> Contest:
    """Put a contest's file into the folder of its records, the task replaced where one is named.

    Raises
    ------
    ValueError, FileNotFoundError
        As :func:`read_contest`; and if the folder holds records of a contest that these would not compare with.
    """
    read_contest(file)
    content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    if task is not None:
        content = {**content, "task": task, "task_arguments": {}}
    contest, target = _checked(content), folder / "contest.yml"
    if target.exists():
        there = read_contest(target)
        for name in ("task", "task_arguments", "trials", "epochs", "evolution"):
            if getattr(there, name) != getattr(contest, name):
                raise ValueError(f"{folder} holds a contest of another {name}, name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    if task is not None or not target.exists() or not target.samefile(file):
        text = (
            yaml.safe_dump(content, sort_keys=False)
            if task is not None
            else Path(file).read_text(encoding="utf-8")
        )
        write_atomically(target, text.encode("utf-8"))
    return contest


def _checked(data: Mapping) -> Contest:
    unknown = [name for name in data if name not in Contest._fields]
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r}; known are {', '.join(Contest._fields)}")
    missing = [
        name for name in Contest._fields if name not in data and name not in Contest._field_defaults
    ]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    _list_of(data, "methods", lambda one: one in METHODS, f"names among {', '.join(METHODS)}")
    _list_of(data, "budgets", lambda one: is_number(one) and one > 1, "numbers above 1")
    _list_of(
        data, "seeds", lambda one: type(one) is int and one >= 0, "whole numbers of at least 0"
    )
    for name in ("trials", "concurrency", "threads"):
        if name in data and (type(data[name]) is not int or data[name] < 1):
            raise ValueError(f"{name} must be a whole number of at least 1, but got {data[name]!r}")
    if not is_number(data["epochs"]) or data["epochs"] <= 0:
        raise ValueError(f"epochs must be a number above 0, but got {data['epochs']!r}")
    if not isinstance(data["task"], str) or ":" not in data["task"]:
        raise ValueError(
            f"task must name a function, as trials.lenet5:make_task, but got {data['task']!r}"
        )
    for name in ("task_arguments", "evolution", "training_service"):
        if not isinstance(data.get(name, {}), Mapping):
            raise ValueError(f"{name} must be a mapping, but got {data[name]!r}")
    contest = Contest(
        **{**data, **{name: tuple(data[name]) for name in ("methods", "budgets", "seeds")}}
    )
    _check_evolution(contest)
    return contest


def _check_evolution(contest: Contest) -> None:
    found = contest.evolution
    if not any(method in ABLATIONS or method.endswith(LONG) for method in contest.methods):
        return
    if set(found) != {"generations", "tolerance", "stress_epochs", "space"} or not isinstance(
        found["space"], Mapping
    ):
        raise ValueError(
            "evolution must be {generations, tolerance, stress_epochs, space}, but got "
            f"{', '.join(found) or 'nothing'}"
        )
    generations = found["generations"]
    if type(generations) is not int or generations < 1 or contest.trials % generations:
        raise ValueError(
            f"generations must divide the {contest.trials} trials, but got {generations!r}"
        )
    if not is_number(found["stress_epochs"]) or not 0 <= found["stress_epochs"] < contest.epochs:
        raise ValueError(
            f"stress_epochs must lie in [0, {contest.epochs:g}), the epochs of a trial, but got {found['stress_epochs']!r}"
        )


def _list_of(data: Mapping, name: str, good, words: str) -> None:
    found = data[name]
    if not isinstance(found, list) or not found or not all(good(one) for one in found):
        raise ValueError(f"{name} must be a list of {words}, but got {found!r}")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must differ from each other, but got {found!r}")


def pruner_of(method: str) -> str:
    """NNI's pruner that a method runs."""
    return method.removesuffix(LONG)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number; true and false are none."""
    return type(value) in (int, float) and math.isfinite(value)


def space_of(contest: Contest, cell: Cell) -> dict:
    """The search space of an evolution's cell: environments that reach the budget in its generations, about evenly."""
    changes, _ = ABLATIONS[cell.method]
    even = cell.budget ** (-1 / contest.evolution["generations"])
    fixed = {
        "stress_epochs": contest.evolution["stress_epochs"],
        "recovery_epochs": contest.epochs - contest.evolution["stress_epochs"],
        **changes,
    }
    return {
        **contest.evolution["space"],
        "environmental_factor": {"_type": "uniform", "_value": [0.8 * even, min(1.0, 1.1 * even)]},
        **{name: {"_type": "choice", "_value": [value]} for name, value in fixed.items()},
    }


def cell_path(folder: Path, cell: Cell) -> Path:
    """Where a cell's trials are recorded."""
    return folder / "cells" / cell.method.replace(" ", "-") / f"{cell.budget:g}x-{cell.seed}.json"


def read_cell(folder: Path, cell: Cell) -> list[dict]:
    """The trials of a cell that are recorded, in their order; errors as of :func:`read_record`."""
    return read_record(folder, cell).get("trials", [])


def read_record(folder: Path, cell: Cell) -> dict[str, Any]:
    """The record of a cell, empty where there is none.

    Raises
    ------
    ValueError
        If the file is damaged, or of another cell.
    """
    path = cell_path(folder, cell)
    try:
        found = read_json(path)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if (
        not isinstance(found, dict)
        or "trials" not in found
        or [found.get(name) for name in Cell._fields] != list(cell)
    ):
        raise ValueError(f"{path} must be of {cell.name}, but is of another cell")
    return found


def write_cell(folder: Path, cell: Cell, trials: list[dict]) -> None:
    """Record a cell's trials, and the environment of this run: a contest may go on elsewhere, where seconds are others."""
    path, environment = cell_path(folder, cell), read_json(folder / "environment.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            **cell._asdict(),
            "environment": environment,
            "trials": sorted(trials, key=lambda trial: trial["trial"]),
        },
    )
