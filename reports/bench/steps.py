"""What stress costs a training step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import nni
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.utils.evaluator import TorchEvaluator
from torch import Tensor, nn

from nni_stress import FusedAdam, StressPruner

from .measuring import NETWORKS, SPARSITY, config

_RATE = 1e-5


def steps(device: str = "cpu") -> dict[str, Any]:
    """Measure a step of plain training, under NNI's L1NormPruner, and under stress."""
    number = 40 if device == "cpu" else 300
    return {name: _compare(*NETWORKS[name], device, number) for name in NETWORKS}


def _compare(
    make: Callable[[], nn.Module], shape: tuple[int, ...], device: str, number: int
) -> dict[str, dict[str, float]]:
    batch = torch.rand(shape, device=device)
    found = {
        "L1NormPruner": _in_wrappers(make, batch, number),
        "nested silence": _stressed(
            make, batch, number, stressor="nested_silence", stress_onset=0.0
        ),
        "level unchanged": _stressed(
            make, batch, number, stressor="attenuate", stress_onset=0.0, stress_ramp=0.0
        ),
    }
    return {"plain": {"seconds": found["nested silence"]["plain"], "ratio": 1.0}, **found}


class _Training:
    """A network that trains step by step."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor):
        self._network = network
        self._optimizer = optimizer
        self._batch = batch

    def seconds(self) -> float:
        """Take a step, and return its seconds."""
        start = _now(self._batch.device)
        self._optimizer.zero_grad()
        self._network(self._batch).float().pow(2).mean().backward()
        self._optimizer.step()
        return _now(self._batch.device) - start


def _beside_plain(
    make: Callable[[], nn.Module], training: _Training, batch: Tensor, number: int
) -> dict[str, float]:
    """Steps of a training and of plain training, in turns; two of each are not measured."""
    network = make().to(batch.device)
    plain = _Training(network, FusedAdam(network.parameters(), _RATE), batch)
    pairs = [(plain.seconds(), training.seconds()) for _ in range(number + 2)][2:]
    return {
        "seconds": statistics.median(own for _, own in pairs),
        "plain": statistics.median(other for other, _ in pairs),
        "ratio": statistics.median(own / other for other, own in pairs),
    }


def _in_wrappers(make: Callable[[], nn.Module], batch: Tensor, number: int) -> dict[str, float]:
    network = make().to(batch.device)
    L1NormPruner(network, config(network, sparse_ratio=SPARSITY)).compress()
    training = _Training(network, FusedAdam(network.parameters(), _RATE), batch)
    return _beside_plain(make, training, batch, number)


def _stressed(
    make: Callable[[], nn.Module], batch: Tensor, number: int, **settings: Any
) -> dict[str, float]:
    found: dict[str, float] = {}

    def train(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        # The first step includes drawing the offspring; synthesis would come long after the last.
        found.update(_beside_plain(make, _Training(model, optimizer, batch), batch, number))

    network = make().to(batch.device)
    optimizer = nni.trace(FusedAdam)(network.parameters(), lr=_RATE)
    evaluator = TorchEvaluator(train, optimizer, lambda batch, model: model(batch).mean())
    layers = config(network, sparse_ratio=SPARSITY)
    StressPruner(network, layers, evaluator, 10 * number, **settings).compress()
    return found


def _now(device: torch.device) -> float:
    """Return the clock once the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
