"""NNI's pruners as rivals: they prune a network to a budget, make it small, and train it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from nni.compression import pruning
from torch import nn

from nni_stress import Task
from nni_stress.graph.synthesis import synthesize
from nni_stress.trial.contract import batches_per_epoch, fidelity_of
from nni_stress.trial.stress_training import stress_evaluator
from nni_stress.utils.seeding import seed_of

from . import level_pruner
from .base import Found, Job, Method, Trial
from .halving import loaded, search
from .limits import Limit
from .phases import divided, train_for, whole_steps
from .ratios import NOMINAL, Masks, Uniform, config_of, rank_together, ratios_of
from .spaces import NORMS, SPACES

_SCHEDULE_STEPS = 10  # how often a schedule raises the sparsity


class RandomPruner(pruning.L1NormPruner):
    """Pruner that removes clusters at random: the baseline that every method should beat.

    NNI 3.0 no longer has one.
    """

    def _calculate_metrics(self, data: Masks) -> Masks:
        metrics = super()._calculate_metrics(data)
        return {
            layer: {target: torch.rand_like(metric) for target, metric in targets.items()}
            for layer, targets in metrics.items()
        }


def prune(method: str, trial: Trial) -> nn.Module:
    """Prune a network to a budget, make it small, and train it.

    Parameters
    ----------
    method
        A key of :data:`.spaces.SPACES`.
    trial
        The trial.

    Raises
    ------
    ValueError
        If the budget cannot be met, or there is no step for what has to be trained before.
    """
    if method == "LevelPruner":
        return level_pruner.prune(trial)
    torch.manual_seed(trial.seed)
    whole = copy.deepcopy(trial.network)
    network = trial.network
    stages = trial.knobs.get("stages", 1)
    for number, steps in enumerate(divided(whole_steps(trial.task, trial.epochs), stages), 1):
        share = trial.allowed ** (number / stages)
        limit = Limit(trial.task, network, trial.resource, share, whole)
        stage = _Stage(network, trial.task, limit, trial.knobs, seed_of(trial.seed, number))
        first = round(steps * trial.knobs["share"]) if "share" in SPACES[method] else 0
        network = _made_small(method, stage, first)
        train_for(
            network,
            trial.task,
            steps - first,
            trial.knobs["learning_rate"],
            seed_of(stage.seed, "recovery"),
        )
    network.zero_grad()
    return network


class _Stage(NamedTuple):
    """One removal of clusters.

    Attributes
    ----------
    network
        The network, which becomes small.
    task
        Its task.
    limit
        The budget.
    knobs
        Hyperparameters of the pruner.
    seed
        Of the training that the pruner needs.
    """

    network: nn.Module
    task: Task
    limit: Limit
    knobs: Mapping[str, Any]
    seed: int

    def prepared(self, make: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """A pruner that meets the budget: with one ratio for all layers, or one ranking."""
        limit = self.limit
        if self.knobs.get("scope") == "global":
            nominal = dict.fromkeys(ratios_of(limit, limit.sizes), NOMINAL)
            pruner = make(self.network, config_of(limit, nominal), *arguments, **more)
            rank_together(pruner, limit)
            return pruner
        return make(self.network, self.uniform_config(), *arguments, **more)

    def uniform_config(self, **more: Any) -> list[dict[str, Any]]:
        """NNI's config list with the one ratio that meets the budget."""
        limit = self.limit
        return config_of(limit, ratios_of(limit, limit.met(Uniform(limit))), **more)

    def evaluator(self, steps: int) -> Any:
        """NNI's evaluator for a training of a number of steps.

        Raises
        ------
        ValueError
            If there are none.
        """
        if not steps:
            raise ValueError("the pruner needs a step of training before the removal, but got none")
        epochs = steps / batches_per_epoch(self.task)
        rate = self.knobs["learning_rate"]
        return stress_evaluator(self.network, self.task, epochs, rate, self.seed)[0]


def _made_small(method: str, stage: _Stage, steps: int) -> nn.Module:
    pruner, masks = _METHODS[method](stage, method, steps)
    pruner.unwrap_model()
    plain = {layer: dict(targets) for layer, targets in masks.items()}
    return synthesize(stage.network, stage.task.example_input, plain, graph=stage.limit.graph)


# Each function prunes by a group of methods, and returns the pruner and its masks. It trains for
# a number of steps before.
_Prune = Callable[[_Stage, str, int], tuple[Any, Masks]]


def _by_weights(stage: _Stage, method: str, steps: int) -> tuple[Any, Masks]:
    """Draw masks by the weights as they are."""
    pruner = stage.prepared(RandomPruner if method == "RandomPruner" else getattr(pruning, method))
    return pruner, pruner.compress()[1]


def _by_training(stage: _Stage, method: str, steps: int) -> tuple[Any, Masks]:
    """Draw masks by what was gathered in a training."""
    slim = method == "SlimPruner"
    more = {"regular_scale": stage.knobs["regular_scale"]} if slim else {}
    evaluator = stage.evaluator(steps)
    pruner = stage.prepared(getattr(pruning, method), evaluator, steps, **more)
    return pruner, pruner.compress()[1]


def _on_schedule(stage: _Stage, method: str, steps: int) -> tuple[Any, Masks]:
    """Raise the sparsity of a one-shot pruner step by step while the network trains."""
    evaluator = stage.evaluator(steps)
    times = min(_SCHEDULE_STEPS, steps)
    one_shot = stage.prepared(getattr(pruning, stage.knobs["base"]))
    pruner = getattr(pruning, method)(one_shot, steps // times, times, evaluator)
    return pruner, pruner.compress(steps, None)[1]


def _by_movement(stage: _Stage, method: str, steps: int) -> tuple[Any, Masks]:
    """Train scores beside the weights, of whole clusters, so that the network can become small."""
    pruner = pruning.MovementPruner(
        stage.network,
        stage.uniform_config(granularity="out_channel"),
        stage.evaluator(steps),
        warmup_step=steps // 10,
        cooldown_begin_step=max(steps * 3 // 4, steps // 10 + 1),
    )
    return pruner, pruner.compress(steps, None)[1]


_METHODS: dict[str, _Prune] = {
    "RandomPruner": _by_weights,
    **dict.fromkeys(NORMS, _by_weights),
    "TaylorPruner": _by_training,
    "SlimPruner": _by_training,
    "MovementPruner": _by_movement,
    "LinearPruner": _on_schedule,
    "AGPPruner": _on_schedule,
}


def at_one_ratio(job: Job) -> Found:
    """What one would try first: L1NormPruner with one ratio for all layers, and no search.

    All epochs are left for the final training, which takes place at the final size.
    """
    network = loaded(job)
    knobs = {"scope": "uniform", "stages": 1, "learning_rate": job.rates[0]}  # of no training
    trial = Trial(job.task, network, job.resource, 1 / job.times, 0.0, knobs, job.seed)
    network = prune("L1NormPruner", trial)
    tried = {
        "knobs": {"scope": "uniform", "stages": 1},
        "epochs": 0.0,
        "validation": fidelity_of(job.task, network, "validation"),
    }
    return Found(network, 0.0, [tried])


def _searched(method: str, job: Job) -> Found:
    found = search(job, partial(prune, method), SPACES[method])
    if method == "LevelPruner":
        return found._replace(finish=level_pruner.make_permanent)
    return found


METHODS: dict[str, Method] = {
    **{method: partial(_searched, method) for method in SPACES},
    "L1NormPruner at one ratio": at_one_ratio,
}
