"""The recovery of an offspring: trained and looked at from time to time, and ended, or spared, where it cannot survive."""

from __future__ import annotations

import math

import nni
from torch import nn

from ..evolution import early_stopping
from ..evolution.selection import Rules
from ..lineage.store import Lineage, Record
from .task import Task
from .training import Training


def recover(
    record: Record, network: nn.Module, task: Task, training: Training, lineage: Lineage | None
) -> Record:
    """Train an offspring, and complete its record by what it achieves.

    Parameters
    ----------
    record
        What is known of it.
    network
        Trained in place.
    task
        Judges its fidelity, before the recovery and at checks that are evenly spread over it.
    training
        Its recovery, not begun.
    lineage
        Of the others that tell when there is no hope for it. None: the recovery goes on to its end.
    """
    curve, forecast, steps = [], None, iter(training)
    while forecast is None:
        now = task.fidelity(network, "validation")
        nni.report_intermediate_result(now)
        while (
            len(curve) <= early_stopping.CHECKS
            and len(curve) * training.steps <= training.step * early_stopping.CHECKS
        ):
            curve.append(now)
        if training.step == training.steps:
            break
        forecast = lineage and _without_hope(record, curve, lineage)
        if forecast is None:
            for _ in steps:
                if training.step * early_stopping.CHECKS >= training.steps * len(curve):
                    break
    return record._replace(untrained=curve[0], validation=curve[-1], curve=curve, forecast=forecast)


def _without_hope(record: Record, curve: list[float], lineage: Lineage) -> float | None:
    """The fidelity that was likely, of an offspring that cannot survive."""
    state, others = lineage.read_state(), lineage.sound_records()
    if state is None:
        return None
    rules = Rules.of(state)
    likely, best = early_stopping.prospect(curve, others, rules.tolerance)
    return likely if early_stopping.hopeless(record, best, others, rules) else None


def superseded(expected: Record, lineage: Lineage) -> float | None:
    """The fidelity to be expected of an offspring that, whatever its fidelity, cannot survive; None where there is hope.

    That is so where one of its generation is faithful already and more efficient than it will be. Where constraints decide,
    or latency, what it will use is known only once it is there.

    Parameters
    ----------
    expected
        Its record, as efficient as it may become.
    lineage
        Of the others.
    """
    state, others = lineage.read_state(), lineage.sound_records()
    if state is None:
        return None
    rules = Rules.of(state)
    if (
        rules.resource == "latency"
        or rules.constraints
        or not early_stopping.hopeless(expected, math.inf, others, rules)
    ):
        return None
    return early_stopping.usual(expected, others)


def spare(record: Record, network: nn.Module, task: Task, forecast: float) -> Record:
    """Complete the record of an offspring that is not worth a recovery."""
    now = task.fidelity(network, "validation")
    nni.report_intermediate_result(now)
    return record._replace(untrained=now, validation=now, curve=[now], forecast=forecast)
