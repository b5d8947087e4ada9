"""Reads what a contest recorded. What is damaged, contradictory or missing is named, and never becomes a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nni_stress.utils.atomic_files import read_json

from .contest import ABLATIONS, Cell, Contest, cell_path, is_number, read_contest, read_record

LEAST_USE = 0.98  # a network may miss its budget by so much: clusters are whole


class Trial(NamedTuple):
    """One trial of a cell. Fidelity is in the task's unit; latency is a share of the founder's, None where not measured."""

    number: int
    validation: float
    test: float
    untrained: float | None
    synapses: int
    macs: int
    efficiency: float
    latency: float | None
    epochs: float
    seconds: float
    architecture: Mapping[str, list[int]]
    knobs: Mapping[str, Any]
    uid: str | None
    ancestor: str | None


class Outcome(NamedTuple):
    """What a method achieved in one cell: of its trials that came down to the budget, the best by validation fidelity."""

    cell: Cell
    chosen: Trial
    trials: list[Trial]
    failed: int
    path: str  # of the record, within the contest's folder
    environment: Mapping[str, str]  # machine and versions that it ran with

    @property
    def epochs(self) -> float:
        """All epochs of the cell, search included."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)


class Results(NamedTuple):
    """All that a contest's folder holds; `problems` has a line for every record that cannot be used."""

    name: str
    folder: Path
    contest: Contest
    founder: Mapping[str, Any]
    outcomes: dict[Cell, Outcome]
    problems: list[str]

    @property
    def environments(self) -> list[Mapping[str, str]]:
        """All that the outcomes ran in: seconds of different ones do not compare."""
        found: list[Mapping[str, str]] = []
        for outcome in self.outcomes.values():
            if outcome.environment not in found:
                found.append(outcome.environment)
        return found


def collect(folder: str | Path) -> Results:
    """Read a contest's folder.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no contest, or no founder to compare with.
    """
    folder = Path(folder)
    contest = read_contest(folder / "contest.yml")
    founder = _founder(folder / "founder.json")
    outcomes, problems = {}, []
    for cell in contest.cells():
        try:
            outcome = _outcome(folder, cell, founder, contest)
        except (ValueError, TypeError, KeyError, OSError) as error:
            problems.append(" ".join(str(error).split()) or repr(error))
            continue
        if isinstance(outcome, str):
            problems.append(outcome)
        elif outcome is not None:
            outcomes[cell] = outcome
    expected = {cell_path(folder, cell) for cell in contest.cells()}
    for path in sorted((folder / "cells").glob("*/*.json")):
        if path not in expected:
            problems.append(
                f"{path.relative_to(folder)} is of no cell of this contest, and left out"
            )
    return Results(folder.resolve().name, folder, contest, founder, outcomes, problems)


def _founder(path: Path) -> dict:
    try:
        found = read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no founder at {path}: without it there is nothing to compare with"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    wanted = ("synapses", "macs", "validation", "test", "architecture")
    if not isinstance(found, dict) or not set(wanted) <= set(found):
        raise ValueError(f"{path} must hold {', '.join(wanted)}")
    for name in wanted[:4]:
        if not is_number(found[name]):
            raise ValueError(f"{path}: {name} must be a number, but got {found[name]!r}")
    return found


def _outcome(folder: Path, cell: Cell, founder: Mapping, contest: Contest) -> Outcome | str | None:
    """The cell's outcome; a line where it has none, None where it was not begun."""
    path = cell_path(folder, cell)
    where = str(path.relative_to(folder))
    record = read_record(folder, cell)
    found, environment = record.get("trials"), record.get("environment", {})
    if not found:
        return None
    if not isinstance(environment, Mapping) or not all(
        isinstance(value, str) for value in environment.values()
    ):
        raise ValueError(
            f"{where}: environment must be a mapping of texts, but got {environment!r}"
        )
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{where}: trials must be a list of mappings")
    numbers = [one.get("trial") for one in found]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{where}: has two trials of one number among {numbers}")
    most, _ = contest.share(cell.method)
    if len(found) > most:
        raise ValueError(f"{where}: has {len(found)} trials, but the contest gives it {most}")
    good = [_trial(one, where, founder) for one in found if "failed" not in one]
    if cell.method not in ABLATIONS and len(found) < most:
        return f"{where}: has {len(found)} of {most} trials, and is missing until it has all"
    if sum(trial.epochs for trial in good) > contest.trials * contest.epochs * (1 + 1e-9):
        raise ValueError(
            f"{where}: took {sum(trial.epochs for trial in good):g} epochs, but the contest gives each cell "
            f"{contest.trials * contest.epochs:g}"
        )
    fitting = [trial for trial in good if trial.efficiency >= LEAST_USE * cell.budget]
    if not fitting:
        return f"{where}: no trial came down to {cell.budget:g}x"
    chosen = max(fitting, key=lambda trial: (trial.validation, trial.efficiency))
    return Outcome(cell, chosen, good, len(found) - len(good), where, environment)


def _trial(data: Mapping, where: str, founder: Mapping) -> Trial:
    for name in ("validation", "test", "synapses", "macs", "efficiency", "epochs"):
        if not is_number(data.get(name)):
            raise ValueError(
                f"{where}: {name} of trial {data.get('trial')!r} must be a number, but got {data.get(name)!r}"
            )
    if data["synapses"] < 1 or not math.isclose(
        data["efficiency"], founder["synapses"] / data["synapses"], rel_tol=1e-6
    ):
        raise ValueError(
            f"{where}: trial {data['trial']} has {data['synapses']} synapses and an efficiency of "
            f"{data['efficiency']:g}, but the founder has {founder['synapses']} synapses"
        )
    for name in ("architecture", "seconds", "knobs"):
        if not isinstance(data.get(name), Mapping):
            raise ValueError(
                f"{where}: {name} of trial {data['trial']} must be a mapping, but got {data.get(name)!r}"
            )
    if not all(map(is_number, data["seconds"].values())):
        raise ValueError(
            f"{where}: seconds of trial {data['trial']} must be numbers, but got {dict(data['seconds'])}"
        )
    share = data.get("latency")
    return Trial(
        data["trial"],
        data["validation"],
        data["test"],
        data.get("untrained"),
        data["synapses"],
        data["macs"],
        data["efficiency"],
        share if is_number(share) else None,
        data["epochs"],
        sum(data["seconds"].values()),
        data["architecture"],
        data["knobs"],
        data.get("uid"),
        data.get("ancestor"),
    )
