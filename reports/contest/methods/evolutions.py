"""The evolution, its ablations, one synthesis alone, and what it found trained from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nni_stress.evolution.ancestry import best_survivor
from nni_stress.evolution.one_budget import STRESS, for_budget
from nni_stress.evolution.search_space import fixed
from nni_stress.graph import serialization
from nni_stress.lineage.record import Record
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.resources import RESOURCES
from nni_stress.trial.contract import batches_per_epoch, steps_in
from nni_stress.trial.in_process import evolve

from ..records import least_times
from .base import Found, Job, Method

_ONCE = {  # StressPruner alone: one synthesis, and nothing is searched
    "stress_epochs": 0.25,
    "recovery_epochs": 0.0,
    "temperature": 0.0,
}


def evolution(changes: Mapping[str, Any]) -> Method:
    """An evolution for one budget, as :func:`nni_stress.for_budget` has it, with some changes.

    Parameters
    ----------
    changes
        {hyperparameter: value} that all offspring have.
    """

    def run(job: Job) -> Found:
        task = job.task
        epochs = min(job.total, job.epochs / STRESS)
        arguments = for_budget(job.times, epochs, task.founder_learning_rate)
        space = {**arguments.pop("space"), **fixed(changes)}
        if task.screening is None:
            space.pop("candidates")  # there is nothing to judge several of them on
        del arguments["maturation_epochs"]  # the contest's final training
        return _evolved(job, space, arguments)

    return run


def one_shot(job: Job) -> Found:
    """One synthesis by StressPruner after brief stress."""
    settings = {
        **_ONCE,
        "environmental_factor": 1 / job.times,
        "stress_epochs": min(_ONCE["stress_epochs"], job.epochs),
        "learning_rate": job.task.founder_learning_rate,
    }
    arguments = {
        "population_size": 1,
        "generations": 1,
        "tolerance": 1.0,
        "target_efficiency": job.times,
    }
    return _evolved(job, fixed(settings), arguments)


def from_scratch(job: Job) -> Found:
    """The architecture that the evolution found in this cell's place, with new random weights.

    Raises
    ------
    FileNotFoundError
        If the evolution's network is not there.
    """
    network = serialization.load(job.evolved, job.task.network)
    torch.manual_seed(job.seed)
    for module in network.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
    return Found(network, 0.0, [])


def _evolved(job: Job, space: Mapping[str, Any], arguments: Mapping[str, Any]) -> Found:
    with tempfile.TemporaryDirectory(prefix="nni-stress-") as folder:
        lineage = evolve(
            job.task,
            folder,
            dict(sorted(space.items())),  # the order in which nnictl hands it out
            job.founder,
            **arguments,
            resource=job.resource,
            seed=job.seed,
        )
        best = best_survivor(lineage)
        founder = lineage.record(FOUNDER)
        assert founder is not None  # best_survivor begins with it
        times = 1 / RESOURCES[job.resource].used(best, founder)
        if times < least_times(job.resource, job.times):
            raise ValueError(
                f"the evolution came down to {times:.3g}x, not {job.times:g}x fewer {job.resource}"
            )
        network = serialization.load(lineage.network_path(best.uid), job.task.network)
        trials = _trials(lineage, batches_per_epoch(job.task))
    return Found(network, sum(trial["epochs"] for trial in trials), trials)


def _trials(lineage: Lineage, per_epoch: int) -> list[dict[str, Any]]:
    def epochs(record: Record) -> float:
        """As they were taken, in whole steps."""
        phases = (record.arguments[f"{phase}_epochs"] for phase in ("stress", "recovery"))
        return sum(steps_in(phase, per_epoch) for phase in phases) / per_epoch

    return [
        {
            "uid": record.uid,
            "ancestor": record.ancestor,
            "knobs": record.arguments,
            "epochs": epochs(record),
            "validation": record.validation,
            "untrained": record.untrained,
            "architecture": record.architecture,
            "seconds": record.seconds,
        }
        for record in lineage.records()
        if record.uid != FOUNDER
    ]


METHODS: dict[str, Callable[[Job], Found]] = {
    "evolution": evolution({}),
    "evolution without stress": evolution({"stress_peak": 0.0}),
    "evolution without breeding": evolution({"candidates": 1}),
    "one-shot StressPruner": one_shot,
    "evolved architecture from scratch": from_scratch,
}
