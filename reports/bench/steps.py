"""What stress costs a training step."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import nni
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.utils.evaluator import TorchEvaluator
from torch import Tensor, nn

from nni_stress import FusedAdam, StressPruner

from .measuring import NETWORKS, SPARSITY, config, turns

_RATE = 1e-5


def steps(device: str = "cpu") -> dict[str, Any]:
    """Measure a step of plain training, under NNI's L1NormPruner, and under stress."""
    number = 8 if device == "cpu" else 100
    return {name: _compare(*NETWORKS[name], device, number) for name in NETWORKS}


def _compare(
    make: Callable[[], nn.Module], shape: tuple[int, ...], device: str, number: int
) -> dict[str, dict[str, float]]:
    batch = torch.rand(shape, device=device)
    wrapped = make().to(device)
    L1NormPruner(wrapped, config(wrapped, sparse_ratio=SPARSITY)).compress()
    network = make().to(device)
    return turns(
        {
            "plain": _trained(make().to(device), batch, number),
            "L1NormPruner": _trained(wrapped, batch, number),
            "nested silence": _stressed(
                network, batch, number, stressor="nested_silence", stress_onset=0.0
            ),
            "level unchanged": _stressed(
                network, batch, number, stressor="attenuate", stress_onset=0.0, stress_ramp=0.0
            ),
        },
        5,
    )


def _trained(network: nn.Module, batch: Tensor, number: int) -> Callable[[], float]:
    """Train a network as it is; two steps are not measured."""
    optimizer = FusedAdam(network.parameters(), _RATE)
    _train(network, optimizer, batch, 2)
    return lambda: _train(network, optimizer, batch, number)


def _stressed(
    network: nn.Module, batch: Tensor, number: int, **settings: Any
) -> Callable[[], float]:
    """Train a copy of a network under stress."""
    measured = []

    def training(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        # The first step includes drawing the masks, the last one the synthesis.
        _train(model, optimizer, batch, 1)
        measured.append(_train(model, optimizer, batch, max_steps - 2))
        _train(model, optimizer, batch, 1)

    def run() -> float:
        own = copy.deepcopy(network)
        optimizer = nni.trace(FusedAdam)(own.parameters(), lr=_RATE)
        evaluator = TorchEvaluator(training, optimizer, lambda batch, model: model(batch).mean())
        StressPruner(
            own, config(own, sparse_ratio=SPARSITY), evaluator, number + 2, **settings
        ).compress()
        return measured[-1]

    return run


def _train(
    network: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor, number: int
) -> float:
    """Train for a number of steps, and return the seconds of one."""
    start = _now(batch.device)
    for _ in range(number):
        optimizer.zero_grad()
        network(batch).float().pow(2).mean().backward()
        optimizer.step()
    return (_now(batch.device) - start) / number


def _now(device: torch.device) -> float:
    """Return the clock once the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
