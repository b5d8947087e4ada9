"""NNI's own pruners, each with the same steps, founder and data as an evolution: prune, ModelSpeedup, recover."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from nni.compression import pruning
from torch import nn

from nni_stress import Task
from nni_stress.graph import cost, latency
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.synthesis import synthesize
from nni_stress.trial.training import stress_evaluator, train
from nni_stress.utils.batches import arguments_of
from nni_stress.utils.seeding import seed_of

_RATE = {"_type": "loguniform", "_value": [0.001, 0.008]}
_SCOPE = {
    "_type": "choice",
    "_value": ["uniform", "global"],
}  # one ratio for every layer, or one ranking of all clusters
_SHARE = {
    "_type": "choice",
    "_value": [0.1, 0.25, 0.5],
}  # of the steps that are spent while the whole network is there
_BASE = {"_type": "choice", "_value": ["L1NormPruner", "L2NormPruner", "FPGMPruner"]}
_TIMES = 10  # how often a schedule raises the sparsity


class RandomPruner(pruning.L1NormPruner):
    """The floor of every comparison, which NNI 3.0 no longer has: clusters go at random."""

    def _calculate_metrics(self, data):
        metrics = super()._calculate_metrics(data)
        return {
            layer: {target: torch.rand_like(one) for target, one in targets.items()}
            for layer, targets in metrics.items()
        }


# The knobs of each method, as a search space of NNI's: all that a user of it would tune.
SPACES: dict[str, dict] = {
    "RandomPruner": {},
    "LevelPruner": {"scope": _SCOPE},
    "L1NormPruner": {"scope": _SCOPE},
    "L2NormPruner": {"scope": _SCOPE},
    "FPGMPruner": {"scope": _SCOPE},
    "TaylorPruner": {"scope": _SCOPE, "share": _SHARE},
    "SlimPruner": {
        "scope": _SCOPE,
        "share": _SHARE,
        "regular_scale": {"_type": "loguniform", "_value": [0.0001, 1.0]},
    },
    "MovementPruner": {"share": _SHARE},
    "LinearPruner": {"scope": _SCOPE, "share": _SHARE, "base": _BASE},
    "AGPPruner": {"scope": _SCOPE, "share": _SHARE, "base": _BASE},
}
SPACES = {method: {**knobs, "learning_rate": _RATE} for method, knobs in SPACES.items()}


class Case(NamedTuple):
    """What a pruner is to do: leave `allowed` synapses of a network, with so many steps of training."""

    network: nn.Module
    task: Task
    graph: ClusterGraph
    allowed: float
    knobs: Mapping[str, Any]
    seed: int


def run(
    method: str,
    task: Task,
    founder: nn.Module,
    budget: float,
    epochs: float,
    knobs: Mapping[str, Any],
    seed: int,
) -> dict:
    """Prune the founder to 1 / budget of its synapses, and recover, in so many epochs altogether.

    Returns
    -------
    dict
        What was achieved: fidelity, synapses, MACs, efficiency, latency (share of the founder's), architecture, epochs,
        seconds.

    Raises
    ------
    ValueError
        If the method is not known, or cannot come down to the budget.
    """
    if method not in SPACES:
        raise ValueError(f"method must be one of {', '.join(SPACES)}, but got {method!r}")
    torch.manual_seed(seed)
    whole = copy.deepcopy(founder)
    full, full_macs = cost.synapses(founder), cost.macs(founder, task.example_input)
    case = Case(
        founder, task, ClusterGraph(founder, task.example_input), full / budget, knobs, seed
    )
    clock = time.perf_counter()
    spent = epochs * knobs.get("share", 0.0)
    prune = {
        "LevelPruner": _level,
        "MovementPruner": _movement,
        "LinearPruner": _scheduled,
        "AGPPruner": _scheduled,
    }.get(method, _once)
    pruner, masks = prune(case, method, spent)
    physical = method != "LevelPruner"
    if physical:
        pruner.unwrap_model()
        network = synthesize(founder, task.example_input, _plain(masks))
    else:
        network = (
            founder  # single synapses are gone: the network keeps its shape, its masks stay on
        )
    seconds = {"pruning": round(time.perf_counter() - clock, 3)}
    untrained = task.fidelity(network, "validation")
    clock = time.perf_counter()
    train(network, task, epochs - spent, knobs["learning_rate"], seed_of(seed, "recovery"))
    seconds["recovery"] = round(time.perf_counter() - clock, 3)
    if not physical:
        pruner.unwrap_model()
        _apply(network, masks)
    synapses = (
        cost.synapses(network)
        if physical
        else sum(int(p.count_nonzero()) for p in network.parameters())
    )
    return {
        "validation": task.fidelity(network, "validation"),
        "test": task.fidelity(network, "test"),
        "untrained": untrained,
        "synapses": synapses,
        "macs": cost.macs(network, task.example_input) if physical else full_macs,
        "efficiency": full / synapses,
        "latency": latency.ratio(network, whole, arguments_of(task.example_input), 0.2),
        "architecture": cost.architecture(network),
        "epochs": epochs,
        "seconds": seconds,
    }


def _config(case: Case, ratio: float, scope: str, **more) -> list[dict]:
    """NNI's config: all layers that may lose clusters; those that live and die together by NNI's own dependency groups."""
    config = []
    for number, layers in enumerate(_open_groups(case)):
        entry = {"op_names": list(layers), "sparse_ratio": ratio, **more}
        if len(layers) > 1:
            entry["dependency_group_id"] = f"group{number}"
        elif scope == "global":
            entry["global_group_id"] = "all"
        config.append(entry)
    return config


def _named(case: Case) -> list[str]:
    """The layers that the task's config names."""
    return list(
        pruning.LevelPruner(
            copy.deepcopy(case.network), [{**case.task.clusters, "sparse_ratio": 0.5}]
        )._target_spaces
    )


def _open_groups(case: Case) -> list[tuple[str, ...]]:
    named = set(_named(case))
    return [
        group.layers
        for group in case.graph.groups
        if not group.frozen and set(group.layers) <= named
    ]


def _keep(case: Case, masks: Mapping) -> list[int]:
    """How many clusters each group keeps."""
    return [
        int(masks[group.layers[0]]["weight"].flatten(1).any(1).sum())
        if group.layers[0] in masks
        else group.clusters
        for group in case.graph.groups
    ]


def _alive(masks: Mapping, metrics: Mapping) -> Mapping:
    """A ranking of all clusters may leave a layer none, which no network survives: the strongest stays."""
    for layer, targets in masks.items():
        if not targets["weight"].any():
            strongest = metrics[layer]["weight"].flatten().argmax()
            for mask in targets.values():
                if mask is not None:
                    mask[strongest] = 1
    return masks


def _aim(pruner, case: Case, goal: float | None = None) -> list[float]:
    """Let a pruner find the ratio that leaves what is allowed, from its own metrics, whenever it draws its masks.

    With a goal, which a schedule approaches, only once it is there. The one element of the answer is the ratio found last.
    """
    generate, found = pruner._generate_sparsity, [goal or 0.0]
    spaces = [
        space
        for targets in pruner._target_spaces.values()
        for space in targets.values()
        if space.sparse_ratio is not None
    ]

    def at(ratio: float, metrics: Mapping) -> Mapping:
        for space in spaces:
            space.sparse_ratio = ratio
        return _alive(generate(metrics), metrics)

    def aimed(metrics: Mapping) -> Mapping:
        asked = spaces[0].sparse_ratio
        if goal is not None and asked < goal - 1e-9:
            return _alive(generate(metrics), metrics)
        low, high, best = 0.0, 1.0, None
        for _ in range(24):
            middle = (low + high) / 2
            masks = at(middle, metrics)
            if case.graph.parameters(_keep(case, masks)) > case.allowed:
                low = middle
            else:
                high, best = middle, masks
        for space in spaces:
            space.sparse_ratio = asked
        if best is None:
            raise ValueError(
                f"no ratio leaves {case.allowed:.0f} synapses: {case.graph.parameters(_keep(case, masks)):.0f} stay"
            )
        found[0] = high
        return best

    pruner._generate_sparsity = aimed
    return found


def _once(case: Case, method: str, epochs: float) -> tuple[Any, Mapping]:
    """A pruner that draws its masks once, some after a training in which they gather what they need."""
    kind = RandomPruner if method == "RandomPruner" else getattr(pruning, method)
    config, gathering = _config(case, 0.5, case.knobs.get("scope", "uniform")), {}
    if method in ("TaylorPruner", "SlimPruner"):
        evaluator, steps = stress_evaluator(
            case.network, case.task, epochs, case.knobs["learning_rate"], case.seed
        )
        gathering = {"evaluator": evaluator, "training_steps": steps}
        if method == "SlimPruner":
            gathering["regular_scale"] = case.knobs["regular_scale"]
    pruner = kind(case.network, config, **gathering)
    _aim(pruner, case)
    return pruner, pruner.compress()[1]


def _scheduled(case: Case, method: str, epochs: float) -> tuple[Any, Mapping]:
    """A schedule that raises the sparsity of a one-shot pruner while the network trains."""
    base, scope = getattr(pruning, case.knobs["base"]), case.knobs["scope"]
    probe = base(copy.deepcopy(case.network), _config(case, 0.5, scope))
    (goal,) = _aimed_once(probe, case)
    evaluator, steps = stress_evaluator(
        case.network, case.task, epochs, case.knobs["learning_rate"], case.seed
    )
    times = min(_TIMES, steps)
    bound = base(case.network, _config(case, goal, scope))
    _aim(bound, case, goal)
    pruner = getattr(pruning, method)(bound, steps // times, times, evaluator)
    return pruner, pruner.compress(steps, None)[1]


def _aimed_once(probe, case: Case) -> list[float]:
    found = _aim(probe, case)
    probe.compress()
    return found


def _movement(case: Case, method: str, epochs: float) -> tuple[Any, Mapping]:
    """Scores that are trained beside the weights; whole clusters, so that the network can become small."""
    probe = pruning.L1NormPruner(copy.deepcopy(case.network), _config(case, 0.5, "uniform"))
    (goal,) = _aimed_once(probe, case)
    evaluator, steps = stress_evaluator(
        case.network, case.task, epochs, case.knobs["learning_rate"], case.seed
    )
    pruner = pruning.MovementPruner(
        case.network,
        _config(case, goal, "uniform", granularity="out_channel"),
        evaluator,
        warmup_step=steps // 10,
        cooldown_begin_step=max(steps * 3 // 4, steps // 10 + 1),
    )
    return pruner, pruner.compress(steps, None)[1]


def _level(case: Case, method: str, epochs: float) -> tuple[Any, Mapping]:
    """Single synapses, by magnitude, of every layer that the task opens, the last too: the network keeps its shape."""
    names = sorted(_named(case))
    modules = dict(case.network.named_modules())
    prunable = sum(modules[name].weight.numel() for name in names)
    others = cost.synapses(case.network) - prunable
    if case.allowed <= others:
        raise ValueError(f"no ratio leaves {case.allowed:.0f} synapses: {others} cannot be pruned")
    entry = {
        "op_names": names,
        "sparse_ratio": 1 - (case.allowed - others) / prunable,
        "target_names": ["weight"],
    }
    if case.knobs["scope"] == "global":
        entry["global_group_id"] = "all"
    pruner = pruning.LevelPruner(case.network, [entry])
    return pruner, pruner.compress()[1]


def _plain(masks: Mapping) -> dict:
    return {layer: dict(targets) for layer, targets in masks.items()}


@torch.no_grad()
def _apply(network: nn.Module, masks: Mapping) -> None:
    modules = dict(network.named_modules())
    for layer, targets in masks.items():
        for target, mask in targets.items():
            getattr(modules[layer], target).mul_(mask)
