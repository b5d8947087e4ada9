"""Evolution against masking: equal steps to equal efficiency.

The evolution trains networks that become small; NNI's AGP trains the whole network under masks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from nni_stress.trials.alexnet import make_task as alexnet_task
from nni_stress.trials.lenet5 import make_task as lenet5_task
from torch import nn

from nni_stress import Task
from nni_stress.graph import cost
from nni_stress.hparams import Arguments
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.trial.training import train

from ..contest.methods.base import Trial
from ..contest.methods.nni_pruners import prune
from .measuring import turns

_EFFICIENCY = 40
_GENERATIONS = 3
_RATE = 1e-3


def masking() -> dict[str, Any]:
    """Measure an evolution of three generations, and NNI's AGP over L1NormPruner."""
    return {
        "LeNet-5, Fashion-MNIST": _compare(lenet5_task("fashion-mnist", None, 128), 300),
        "AlexNet 64, Fashion-MNIST": _compare(alexnet_task(), 60),
    }


def _compare(task: Task, steps: int) -> dict[str, Any]:
    """Compare all variants, each with the same steps in all.

    The founder is untrained: the seconds do not depend on its weights.
    """
    torch.manual_seed(0)
    founder = task.network()
    epochs = steps / len(task.loader(torch.Generator()))
    task = replace(task, fidelity=lambda network, split: 0.0)
    return turns(
        {
            "AGP for all steps, then ModelSpeedup": _agp(task, founder, epochs, 1.0),
            "AGP for half of them, half after ModelSpeedup": _agp(task, founder, epochs, 0.5),
            "evolution of three generations": _evolution(task, founder, epochs),
        },
        3,
    )


def _evolution(task: Task, founder: nn.Module, epochs: float) -> Callable[[], float]:
    allowed = cost.synapses(founder) / _EFFICIENCY
    generation_epochs = epochs / _GENERATIONS

    def run() -> float:
        network = copy.deepcopy(founder)
        start = time.perf_counter()
        for generation in range(_GENERATIONS):
            generations_left = _GENERATIONS - generation
            arguments = Arguments(
                environmental_factor=(allowed / cost.synapses(network)) ** (1 / generations_left),
                stress_epochs=generation_epochs / 4,
                learning_rate=_RATE,
                temperature=0.01,
            )
            network = stress_and_synthesize(network, task, arguments, generation)
            train(network, task, generation_epochs * 3 / 4, _RATE, generation)
        seconds = time.perf_counter() - start
        if cost.synapses(network) > 1.05 * allowed:
            left = cost.synapses(network)
            raise RuntimeError(f"the evolution must leave {allowed:.0f} synapses, but left {left}")
        return seconds

    return run


def _agp(task: Task, founder: nn.Module, epochs: float, share: float) -> Callable[[], float]:
    """Prune by AGP for a share of the epochs, and recover after ModelSpeedup for the rest."""
    knobs = {"base": "L1NormPruner", "scope": "uniform", "share": share, "learning_rate": _RATE}

    def run() -> float:
        network = copy.deepcopy(founder)
        start = time.perf_counter()
        prune("AGPPruner", Trial(task, network, "parameters", 1 / _EFFICIENCY, epochs, knobs, 0))
        return time.perf_counter() - start

    return run
