"""Reads the records of a contest.

A record that is damaged, contradictory or missing becomes a line of text, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.atomic_files import read_json
from nni_stress.utils.messages import one_line, short

from .cell_records import cell_path, read_record
from .contest import ABLATIONS, Cell, Contest, is_number
from .contest_file import read_contest

# Share of a budget that a network must reach: clusters (output channels, neurons) go as a whole.
LEAST_USE = 0.98


class Trial(NamedTuple):
    """One trial of a cell.

    Attributes
    ----------
    number
        Its place among the trials of the cell.
    validation, test, untrained
        Fidelity (accuracy or mAP) on validation and test data, and on validation data right after
        synthesis (None: not recorded).
    synapses, macs
        Weights, and multiply-accumulates of one example.
    efficiency
        Synapses of the founder / synapses.
    latency
        Share of the founder's latency; None: not measured.
    epochs, seconds
        Of training.
    architecture
        {layer: shape of its weight}.
    knobs
        The hyperparameters.
    uid, ancestor
        Names of an offspring and of its ancestor; None in trials of built-in pruners.
    """

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
    """What a method achieved in one cell.

    Attributes
    ----------
    cell
        Which.
    chosen
        Of the trials within the budget, the one with the best validation fidelity.
    trials
        All trials that did not fail.
    failed
        Number of trials that failed.
    path
        The record, relative to the contest's folder.
    environment
        Machine and versions.
    """

    cell: Cell
    chosen: Trial
    trials: list[Trial]
    failed: int
    path: str
    environment: Mapping[str, str]

    @property
    def epochs(self) -> float:
        """Epochs of all trials, the search included."""
        return sum(trial.epochs for trial in self.trials)

    @property
    def seconds(self) -> float:
        """Seconds of all trials, the search included."""
        return sum(trial.seconds for trial in self.trials)


class Results(NamedTuple):
    """All records of a contest's folder.

    Attributes
    ----------
    name, folder, contest, founder
        The contest, and what its founder achieves.
    outcomes
        {cell: outcome} of the cells that have one.
    problems
        A line for every record that cannot be used.
    """

    name: str
    folder: Path
    contest: Contest
    founder: Mapping[str, Any]
    outcomes: dict[Cell, Outcome]
    problems: list[str]

    @property
    def environments(self) -> list[Mapping[str, str]]:
        """All environments of the outcomes; seconds compare within one environment only."""
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
    founder = _read_founder(folder / "founder.json")
    outcomes: dict[Cell, Outcome] = {}
    problems: list[str] = []
    for cell in contest.cells():
        try:
            outcome = _outcome(folder, cell, founder, contest)
        except (ValueError, TypeError, KeyError, OSError) as error:
            problems.append(one_line(error))
            continue
        if isinstance(outcome, str):
            problems.append(outcome)
        elif outcome is not None:
            outcomes[cell] = outcome
    expected = {cell_path(folder, cell) for cell in contest.cells()}
    for path in sorted((folder / "cells").glob("*/*.json")):
        if path not in expected:
            where = path.relative_to(folder)
            problems.append(f"{where} is of no cell of this contest, and left out")
    return Results(folder.resolve().name, folder, contest, founder, outcomes, problems)


def _read_founder(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"no founder at {path}: without it there is nothing to compare with"
        ) from None
    numbers = ("synapses", "macs", "validation", "test")
    required = (*numbers, "architecture")
    if not isinstance(found, dict) or not set(required) <= set(found):
        raise DamagedFileError(f"{path} must hold {', '.join(required)}")
    for name in numbers:
        if not is_number(found[name]):
            raise DamagedFileError(f"{path}: {name} must be a number, but got {short(found[name])}")
    return found


def _outcome(
    folder: Path, cell: Cell, founder: Mapping[str, Any], contest: Contest
) -> Outcome | str | None:
    """Return a cell's outcome; a line of text if it has none, None if it was not begun."""
    where = str(cell_path(folder, cell).relative_to(folder))
    record = read_record(folder, cell)
    data, environment = record.get("trials"), record.get("environment", {})
    if not data:
        return None
    _check_record(data, environment, where)
    allowed, _ = contest.share(cell.method)
    if len(data) > allowed:
        raise ValueError(f"{where}: has {len(data)} trials, but the contest gives it {allowed}")
    trials = [_trial(one, where, founder) for one in data if "failed" not in one]
    if cell.method not in ABLATIONS and len(data) < allowed:
        return f"{where}: has {len(data)} of {allowed} trials, and is missing until it has all"
    epochs, epochs_allowed = sum(trial.epochs for trial in trials), contest.trials * contest.epochs
    if epochs > epochs_allowed * (1 + 1e-9):
        raise ValueError(
            f"{where}: took {epochs:g} epochs, but the contest gives each cell {epochs_allowed:g}"
        )
    small = [trial for trial in trials if trial.efficiency >= LEAST_USE * cell.budget]
    if not small:
        return f"{where}: no trial came down to {cell.budget:g}x"
    chosen = max(small, key=lambda trial: (trial.validation, trial.efficiency))
    return Outcome(cell, chosen, trials, len(data) - len(trials), where, environment)


def _check_record(data: Any, environment: Any, where: str) -> None:
    if not isinstance(environment, Mapping) or not all(
        isinstance(value, str) for value in environment.values()
    ):
        raise ValueError(
            f"{where}: environment must be a mapping of texts, but got {environment!r}"
        )
    if not isinstance(data, list) or not all(isinstance(trial, dict) for trial in data):
        raise ValueError(f"{where}: trials must be a list of mappings")
    numbers = [trial.get("trial") for trial in data]
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{where}: has two trials of one number among {numbers}")


def _trial(data: Mapping[str, Any], where: str, founder: Mapping[str, Any]) -> Trial:
    _check_trial(data, where, founder)
    latency = data.get("latency")
    return Trial(
        number=data["trial"],
        validation=data["validation"],
        test=data["test"],
        untrained=data.get("untrained"),
        synapses=data["synapses"],
        macs=data["macs"],
        efficiency=data["efficiency"],
        latency=latency if is_number(latency) else None,
        epochs=data["epochs"],
        seconds=sum(data["seconds"].values()),
        architecture=data["architecture"],
        knobs=data["knobs"],
        uid=data.get("uid"),
        ancestor=data.get("ancestor"),
    )


def _check_trial(data: Mapping[str, Any], where: str, founder: Mapping[str, Any]) -> None:
    number = data.get("trial")
    for name in ("validation", "test", "synapses", "macs", "efficiency", "epochs"):
        if not is_number(data.get(name)):
            raise ValueError(
                f"{where}: {name} of trial {number!r} must be a number, but got {data.get(name)!r}"
            )
    if data["synapses"] < 1 or not math.isclose(
        data["efficiency"], founder["synapses"] / data["synapses"], rel_tol=1e-6
    ):
        raise ValueError(
            f"{where}: trial {number} has {data['synapses']} synapses and an efficiency of "
            f"{data['efficiency']:g}, but the founder has {founder['synapses']} synapses"
        )
    for name in ("architecture", "seconds", "knobs"):
        if not isinstance(data.get(name), Mapping):
            raise ValueError(
                f"{where}: {name} of trial {number} must be a mapping, but got {data.get(name)!r}"
            )
    if not all(map(is_number, data["seconds"].values())):
        raise ValueError(
            f"{where}: seconds of trial {number} must be numbers, but got {dict(data['seconds'])}"
        )
