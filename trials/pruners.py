"""NNI's own pruners under a contest's rules: prune a founder to a budget, speed it up, recover.

They get the same founder, data and number of training steps as an evolution.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nni.compression import pruning
from torch import Tensor, nn

from nni_stress import Task
from nni_stress.graph import cost, latency
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.synthesis import synthesize
from nni_stress.trial.stress_training import stress_evaluator
from nni_stress.trial.training import train
from nni_stress.utils.batches import arguments_of
from nni_stress.utils.seeding import seed_of

from .pruner_budget import BudgetSearch, Masks, PruningJob, layer_config, named_layers

_LATENCY_SECONDS = 0.2  # duration of the latency measurement
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


_LEARNING_RATE = {"_type": "loguniform", "_value": [0.001, 0.008]}
# One ratio for every layer, or one ranking of all clusters.
_SCOPE = {"_type": "choice", "_value": ["uniform", "global"]}
# Share of the training steps that are spent before the network is made small.
_SHARE = {"_type": "choice", "_value": [0.1, 0.25, 0.5]}
_BASE = {"_type": "choice", "_value": ["L1NormPruner", "L2NormPruner", "FPGMPruner"]}
_SCALE = {"_type": "loguniform", "_value": [0.0001, 1.0]}

_Space = dict[str, dict[str, Any]]  # of NNI, by hyperparameter

# Hyperparameters of each method: all that its users would tune.
_OWN_SPACES: dict[str, _Space] = {
    "RandomPruner": {},
    "LevelPruner": {"scope": _SCOPE},
    "L1NormPruner": {"scope": _SCOPE},
    "L2NormPruner": {"scope": _SCOPE},
    "FPGMPruner": {"scope": _SCOPE},
    "TaylorPruner": {"scope": _SCOPE, "share": _SHARE},
    "SlimPruner": {"scope": _SCOPE, "share": _SHARE, "regular_scale": _SCALE},
    "MovementPruner": {"share": _SHARE},
    "LinearPruner": {"scope": _SCOPE, "share": _SHARE, "base": _BASE},
    "AGPPruner": {"scope": _SCOPE, "share": _SHARE, "base": _BASE},
}
SPACES: dict[str, _Space] = {
    method: {**space, "learning_rate": _LEARNING_RATE} for method, space in _OWN_SPACES.items()
}


def run(
    method: str,
    task: Task,
    founder: nn.Module,
    budget: float,
    epochs: float,
    knobs: Mapping[str, Any],
    seed: int,
    resource: str = "parameters",
) -> dict[str, Any]:
    """Prune a founder to 1 / budget of its synapses (weights) or MACs, and let it recover.

    Parameters
    ----------
    method
        A key of :data:`SPACES`.
    task
        Task of the founder.
    founder
        Network to prune; changed in place.
    budget
        Factor by which the resource is to become less.
    epochs
        Number of training epochs, before and after the network is made small together.
    knobs
        Hyperparameters of the method, from its search space.
    seed
        Seed of all random numbers.
    resource
        "parameters" or, for pruners of whole clusters, "macs".

    Returns
    -------
    dict
        Fidelity (validation, test, untrained), synapses, macs, efficiency, latency (relative to the
        founder), architecture, epochs, seconds.

    Raises
    ------
    ValueError
        If the method is unknown, a hyperparameter is not of its space, or the budget cannot be met.
    """
    if method not in SPACES:
        raise ValueError(f"method must be one of {', '.join(SPACES)}, but got {method!r}")
    _check_knobs(method, knobs)
    torch.manual_seed(seed)
    original = copy.deepcopy(founder)
    full, full_macs = cost.synapses(founder), cost.macs(founder, task.example_input)
    graph = ClusterGraph(founder, task.example_input)
    whole = full_macs if resource == "macs" else full
    job = PruningJob(founder, task, graph, whole / budget, knobs, seed, resource)
    started = time.perf_counter()
    epochs_before = epochs * knobs.get("share", 0.0)
    pruner, masks = _METHODS[method](job, method, epochs_before)
    structured = method != "LevelPruner"
    if structured:
        pruner.unwrap_model()
        plain_masks = {layer: dict(targets) for layer, targets in masks.items()}
        network = synthesize(founder, task.example_input, plain_masks)
    else:
        network = founder  # single synapses are masked: the network keeps its shape
    seconds = {"pruning": round(time.perf_counter() - started, 3)}
    untrained = task.fidelity(network, "validation")
    started = time.perf_counter()
    rate = knobs["learning_rate"]
    train(network, task, epochs - epochs_before, rate, seed_of(seed, "recovery"))
    seconds["recovery"] = round(time.perf_counter() - started, 3)
    if structured:
        synapses, macs = cost.synapses(network), cost.macs(network, task.example_input)
    else:
        pruner.unwrap_model()
        _apply_masks(network, masks)
        synapses, macs = _count_nonzero(network), full_macs
    inputs = arguments_of(task.example_input)
    return {
        "validation": task.fidelity(network, "validation"),
        "test": task.fidelity(network, "test"),
        "untrained": untrained,
        "synapses": synapses,
        "macs": macs,
        "efficiency": full / synapses,
        "latency": latency.ratio(network, original, inputs, _LATENCY_SECONDS),
        "architecture": cost.architecture(network),
        "epochs": epochs,
        "seconds": seconds,
    }


def _check_knobs(method: str, knobs: Mapping[str, Any]) -> None:
    """Check hyperparameters, which a message may have named: "base" is the name of a class."""
    for name, space in SPACES[method].items():
        value, values = knobs.get(name), space["_value"]
        if value is None:
            continue
        if space["_type"] == "choice":
            if value not in values:
                raise ValueError(f"{name} of {method} must be one of {values}, but got {value!r}")
        elif type(value) not in (int, float):
            raise ValueError(f"{name} of {method} must be a number, but got {value!r}")


# Each function prunes by a group of methods, and returns the pruner and its masks.
_Prune = Callable[[PruningJob, str, float], tuple[Any, Masks]]


def _prune_once(job: PruningJob, method: str, epochs: float) -> tuple[Any, Masks]:
    """Draw masks once; some methods first train, to gather their metrics."""
    pruner_type = RandomPruner if method == "RandomPruner" else getattr(pruning, method)
    config = layer_config(job, 0.5, job.knobs.get("scope", "uniform"))
    training: dict[str, Any] = {}
    if method in ("TaylorPruner", "SlimPruner"):
        training["evaluator"], training["training_steps"] = _evaluator(job, epochs)
    if method == "SlimPruner":
        training["regular_scale"] = job.knobs["regular_scale"]
    pruner = pruner_type(job.network, config, **training)
    BudgetSearch(pruner, job)
    return pruner, pruner.compress()[1]


def _prune_on_schedule(job: PruningJob, method: str, epochs: float) -> tuple[Any, Masks]:
    """Raise the sparsity of a one-shot pruner step by step while the network trains."""
    base, scope = getattr(pruning, job.knobs["base"]), job.knobs["scope"]
    ratio = _find_ratio(job, base, scope)
    evaluator, steps = _evaluator(job, epochs)
    times = min(_SCHEDULE_STEPS, steps)
    one_shot = base(job.network, layer_config(job, ratio, scope))
    BudgetSearch(one_shot, job, ratio)
    pruner = getattr(pruning, method)(one_shot, steps // times, times, evaluator)
    return pruner, pruner.compress(steps, None)[1]


def _prune_by_movement(job: PruningJob, method: str, epochs: float) -> tuple[Any, Masks]:
    """Train scores beside the weights, of whole clusters, so that the network can become small."""
    ratio = _find_ratio(job, pruning.L1NormPruner, "uniform")
    evaluator, steps = _evaluator(job, epochs)
    pruner = pruning.MovementPruner(
        job.network,
        layer_config(job, ratio, "uniform", granularity="out_channel"),
        evaluator,
        warmup_step=steps // 10,
        cooldown_begin_step=max(steps * 3 // 4, steps // 10 + 1),
    )
    return pruner, pruner.compress(steps, None)[1]


def _prune_synapses(job: PruningJob, method: str, epochs: float) -> tuple[Any, Masks]:
    """Mask single synapses by magnitude, in all layers that the task opens, the last included."""
    names = sorted(named_layers(job))
    modules = dict(job.network.named_modules())
    prunable = sum(modules[name].weight.numel() for name in names)
    fixed = cost.synapses(job.network) - prunable
    if job.allowed <= fixed:
        raise ValueError(f"no ratio leaves {job.allowed:.0f} synapses: {fixed} cannot be pruned")
    entry = {
        "op_names": names,
        "sparse_ratio": 1 - (job.allowed - fixed) / prunable,
        "target_names": ["weight"],
    }
    if job.knobs["scope"] == "global":
        entry["global_group_id"] = "all"
    pruner = pruning.LevelPruner(job.network, [entry])
    return pruner, pruner.compress()[1]


_METHODS: dict[str, _Prune] = {
    **dict.fromkeys(SPACES, _prune_once),
    "LevelPruner": _prune_synapses,
    "MovementPruner": _prune_by_movement,
    "LinearPruner": _prune_on_schedule,
    "AGPPruner": _prune_on_schedule,
}


def _evaluator(job: PruningJob, epochs: float) -> tuple[Any, int]:
    """NNI's evaluator for a training, and its number of steps."""
    return stress_evaluator(job.network, job.task, epochs, job.knobs["learning_rate"], job.seed)


def _find_ratio(job: PruningJob, pruner_type: Callable[..., Any], scope: str) -> float:
    """Find the ratio with which a one-shot pruner meets the budget, on a copy of the network."""
    pruner = pruner_type(copy.deepcopy(job.network), layer_config(job, 0.5, scope))
    search = BudgetSearch(pruner, job)
    pruner.compress()
    return search.ratio


@torch.no_grad()
def _apply_masks(network: nn.Module, masks: Masks) -> None:
    modules = dict(network.named_modules())
    for layer, targets in masks.items():
        for target, mask in targets.items():
            weights: Tensor = getattr(modules[layer], target)
            weights.mul_(mask)


def _count_nonzero(network: nn.Module) -> int:
    return sum(int(parameter.count_nonzero()) for parameter in network.parameters())
