"""Evolving against masking: the same steps to the same efficiency, on networks that become small and on one that does not."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from nni_stress import Task
from nni_stress.graph import cost
from nni_stress.hparams import Arguments
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.trial.training import train
from trials import alexnet, lenet5, pruners

from .measuring import turns

_EFFICIENCY = 40
_GENERATIONS = 3
_RATE = 1e-3


def masking() -> dict:
    """Seconds of an evolution of three generations, and of NNI's AGP over L1NormPruner, with the same number of steps."""
    return {
        "LeNet-5, Fashion-MNIST": _raced(lenet5.make_task("fashion-mnist", None, 128), 300),
        "AlexNet 64, Fashion-MNIST": _raced(alexnet.make_task(), 60),
    }


def _raced(task: Task, steps: int) -> dict:
    """Both with so many steps in all, from the same untrained founder: what is measured does not depend on its synapses."""
    torch.manual_seed(0)
    founder, batches = task.network(), len(task.loader(torch.Generator()))
    task = replace(task, fidelity=lambda network, split: 0.0)
    epochs = steps / batches

    def evolving() -> float:
        network = copy.deepcopy(founder)
        allowed = cost.synapses(founder) / _EFFICIENCY
        each = epochs / _GENERATIONS
        began = time.perf_counter()
        for generation in range(_GENERATIONS):
            left = _GENERATIONS - generation
            factor = (allowed / cost.synapses(network)) ** (1 / left)
            arguments = Arguments(
                environmental_factor=factor,
                stress_epochs=each / 4,
                learning_rate=_RATE,
                temperature=0.01,
            )
            network = stress_and_synthesize(network, task, arguments, generation)
            train(network, task, each * 3 / 4, _RATE, generation)
        return _checked(time.perf_counter() - began, network, allowed)

    def agp(share: float) -> Callable[[], float]:
        def run() -> float:
            network = copy.deepcopy(founder)
            knobs = {
                "base": "L1NormPruner",
                "scope": "uniform",
                "share": share,
                "learning_rate": _RATE,
            }
            found = pruners.run("AGPPruner", task, network, _EFFICIENCY, epochs, knobs, 0)
            return sum(found["seconds"].values())

        return run

    return turns(
        {
            "AGP for all steps, then ModelSpeedup": agp(1.0),
            "AGP for half of them, half after ModelSpeedup": agp(0.5),
            "evolution of three generations": evolving,
        },
        3,
    )


def _checked(seconds: float, network: nn.Module, allowed: float) -> float:
    if cost.synapses(network) > 1.05 * allowed:
        raise RuntimeError(
            f"the evolution left {cost.synapses(network)} synapses, but should have left {allowed:.0f}"
        )
    return seconds
