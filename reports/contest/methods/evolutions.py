"""The evolution, its ablations, one synthesis alone, and what it found trained from scratch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nni_stress.evolution.ancestry import best_survivor
from nni_stress.evolution.search_space import fixed
from nni_stress.evolution.tuner_arguments import TunerArguments
from nni_stress.graph import serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.in_process import evolve

from .base import Found, Job, Method

_ONCE = {  # StressPruner alone: one synthesis, and nothing is searched
    "stress_epochs": 0.25,
    "recovery_epochs": 0.0,
    "temperature": 0.0,
}

# Learning rate of all offspring, over the founder's. If it were searched, those of high rates would
# be chosen: after a brief recovery they are ahead, whatever their architecture.
_RATE = 2.0


def evolution(changes: Mapping[str, Any]) -> Method:
    """An evolution in which some hyperparameters are fixed.

    Its offspring share out evenly the epochs of the search that the contest's file gives it, and
    its generations the budget.

    Parameters
    ----------
    changes
        {hyperparameter: value}.
    """

    def run(job: Job) -> Found:
        arguments = job.evolution["arguments"]
        given = TunerArguments(**arguments)
        offspring = given.generations * given.population_size
        epochs = job.evolution["search_share"] * job.epochs / offspring
        stress = job.evolution["stress_share"] * epochs
        settings = {
            "environmental_factor": job.times ** (-1 / given.generations),
            "stress_epochs": stress,
            "recovery_epochs": epochs - stress,
            **changes,
        }
        space = {
            **fixed({"learning_rate": _RATE * job.task.founder_learning_rate}),
            **job.evolution["space"],
            **fixed(settings),
        }
        if job.task.screening is None:
            space.pop("candidates", None)  # there is nothing to judge several of them on
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
    return _evolved(
        job, fixed(settings), {"population_size": 1, "generations": 1, "tolerance": 1.0}
    )


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
            target_efficiency=job.times,
            resource=job.resource,
            seed=job.seed,
        )
        best = best_survivor(lineage)
        if best.uid == FOUNDER:
            raise ValueError(f"no offspring came down to {job.times:g}x fewer {job.resource}")
        network = serialization.load(lineage.network_path(best.uid), job.task.network)
        trials = _trials(lineage)
    return Found(network, sum(trial["epochs"] for trial in trials), trials)


def _trials(lineage: Lineage) -> list[dict[str, Any]]:
    return [
        {
            "uid": record.uid,
            "ancestor": record.ancestor,
            "knobs": record.arguments,
            "epochs": record.arguments["stress_epochs"] + record.arguments["recovery_epochs"],
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
