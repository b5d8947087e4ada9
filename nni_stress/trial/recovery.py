"""The recovery training of an offspring, which ends early if the offspring cannot survive."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import nni
from torch import nn

from ..evolution import early_stopping
from ..evolution.contender import Candidate
from ..evolution.lineage_rules import rules_in
from ..evolution.rules import Rules
from ..lineage.record import Record
from ..lineage.store import Lineage
from ..resources import RESOURCES
from .measurement import Validation
from .task import Task
from .training import Training


class EarlyEnding:
    """Judges, by what others of the lineage achieved, whether an offspring can still survive.

    Parameters
    ----------
    lineage
        The lineage; it is read anew for each judgement.

    Examples
    --------
    >>> ending = EarlyEnding(Lineage("/nonexistent"))
    >>> ending.forecast_if_out_of_reach(Candidate("g001-00", 1, "g000-00", 0.5, 250, 2500), [0.5])
    """

    def __init__(self, lineage: Lineage):
        self._lineage = lineage

    def _situation(self) -> tuple[Rules, list[Record]] | None:
        """The rules of the evolution and all records; None if there is no state."""
        state = self._lineage.read_state()
        if state is None:
            return None
        rules = rules_in(state, self._lineage.folder / "state.json")
        return rules, self._lineage.sound_records()

    def forecast_if_superseded(self, smallest: Candidate) -> float | None:
        """The expected fidelity of an offspring that cannot survive whatever fidelity it reaches.

        That is the case if a faithful offspring of its generation is already smaller than it can
        become. Where constraints or latency decide, that is not known before synthesis.

        Parameters
        ----------
        smallest
            The offspring, as small as it can become.

        Returns
        -------
        float or None
            None if the offspring may survive.
        """
        situation = self._situation()
        if situation is None or smallest.ancestor is None:
            return None
        rules, others = situation
        if RESOURCES[rules.resource].measured or rules.constraints:
            return None
        perfect = replace(smallest, validation=math.inf)
        if not early_stopping.cannot_survive(perfect, others, rules):
            return None
        return early_stopping.expected_validation(smallest.ancestor, others)

    def forecast_if_out_of_reach(
        self, offspring: Candidate, curve: Sequence[float]
    ) -> float | None:
        """The likely fidelity of an offspring that cannot survive even at its best.

        Parameters
        ----------
        offspring
            The offspring.
        curve
            Its validation fidelity before the recovery, and at each check so far.

        Returns
        -------
        float or None
            None if the offspring may survive.
        """
        situation = self._situation()
        if situation is None:
            return None
        rules, others = situation
        forecast = early_stopping.forecast(curve, others, rules.tolerance)
        at_best = replace(offspring, validation=forecast.best)
        out_of_reach = early_stopping.cannot_survive(at_best, others, rules)
        return forecast.likely if out_of_reach else None


def recover(
    network: nn.Module,
    task: Task,
    training: Training,
    offspring: Candidate,
    early_ending: EarlyEnding | None,
    curve: Sequence[float] = (),
    between_epochs: Callable[[list[float]], None] = lambda curve: None,
) -> Validation:
    """Train an offspring after synthesis, with evenly spaced validation checks.

    Parameters
    ----------
    network
        Trained in place.
    task
        Judges the fidelity.
    training
        The recovery training, not begun or resumed.
    offspring
        What is known of the offspring.
    early_ending
        Decides at each check whether the recovery ends. None: it is completed.
    curve
        Validation fidelity at the checks so far, if the training is resumed.
    between_epochs
        Called with the curve wherever the training could be resumed.
    """
    checks = early_stopping.CHECKS
    curve = list(curve)
    forecast = None
    steps = iter(training)
    while forecast is None:
        if training.step * checks >= training.steps * len(curve):
            current = task.fidelity(network, "validation")
            nni.report_intermediate_result(current)
            while len(curve) <= checks and len(curve) * training.steps <= training.step * checks:
                curve.append(current)
        if training.step == training.steps:
            break
        if training.resumable:
            between_epochs(curve)
        if early_ending is not None:
            forecast = early_ending.forecast_if_out_of_reach(offspring, curve)
        if forecast is None:
            for _ in steps:
                if training.step * checks >= training.steps * len(curve):
                    break
                if training.resumable:
                    between_epochs(curve)
    return Validation(curve[-1], untrained=curve[0], curve=tuple(curve), forecast=forecast)


def skip_recovery(network: nn.Module, task: Task, forecast: float) -> Validation:
    """Judge an offspring that gets no recovery training because it cannot survive.

    Parameters
    ----------
    network, task
        The offspring's network, and the task that judges its fidelity.
    forecast
        The fidelity that was expected of it.
    """
    current = task.fidelity(network, "validation")
    nni.report_intermediate_result(current)
    return Validation(current, untrained=current, curve=(current,), forecast=forecast)
