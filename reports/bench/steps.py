"""What stress costs a training step."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import nni
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn

from nni_stress import FusedAdam, StressPruner

from .measuring import NETWORKS, SPARSITY, config, turns


def steps(device: str = "cpu") -> dict:
    """A step of plain training, under the wrappers of NNI's L1NormPruner, and under stress."""
    return {
        name: _steps(*NETWORKS[name], device, 8 if device == "cpu" else 100) for name in NETWORKS
    }


def _steps(make: Callable[[], nn.Module], shape: tuple[int, ...], device: str, number: int) -> dict:
    batch = torch.rand(shape, device=device)

    def train(network: nn.Module, optimizer, count: int) -> float:
        began = _now(device)
        for _ in range(count):
            optimizer.zero_grad()
            network(batch).float().pow(2).mean().backward()
            optimizer.step()
        return (_now(device) - began) / count

    plain, wrapped = make().to(device), make().to(device)
    L1NormPruner(wrapped, config(wrapped, sparse_ratio=SPARSITY)).compress()
    ours = {one: FusedAdam(one.parameters(), 1e-5) for one in (plain, wrapped)}

    def stressed(**settings) -> Callable[[], float]:
        network, taken = make().to(device), []

        def training(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
            train(
                model, optimizer, 1
            )  # after the first nested silence draws what is coming, after the last it is synthesized
            taken.append(train(model, optimizer, max_steps - 2))
            train(model, optimizer, 1)

        def run() -> float:
            mine = copy.deepcopy(network)
            evaluator = TorchEvaluator(
                training, nni.trace(FusedAdam)(mine.parameters(), lr=1e-5), lambda b, m: m(b).mean()
            )
            StressPruner(
                mine, config(mine, sparse_ratio=SPARSITY), evaluator, number + 2, **settings
            ).compress()
            return taken[-1]

        return run

    for one in ours:
        train(one, ours[one], 2)
    return turns(
        {
            "plain": lambda: train(plain, ours[plain], number),
            "L1NormPruner": lambda: train(wrapped, ours[wrapped], number),
            "nested silence": stressed(stressor="nested_silence", stress_onset=0.0),
            "level unchanged": stressed(stressor="attenuate", stress_onset=0.0, stress_ramp=0.0),
        },
        5,
    )


def _now(device: str) -> float:
    """Seconds, once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
