"""A task, and training for it: plainly, and under NNI's eyes."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

import nni
import torch
from torch import nn

from .batches import answer

# Of the stress phase: its learning rate rises for this share, while importance is gathered in calm, and falls to that share.
WARM_UP, COOL_DOWN = 0.1, 0.1

Batches = Iterable[tuple[Any, Any]]


@dataclass(frozen=True)
class Task:
    """What is to be evolved: the network, its data, and what counts as good.

    Parameters
    ----------
    network
        Makes the founder's network, untrained.
    example_input
        One batch of inputs, of any size: a tensor, or a tuple of tensors for a network that takes several.
    loader
        Makes the training batches (inputs, targets) of one epoch from a generator that shuffles them; has a length. Inputs
        are like the example; targets are whatever the loss takes: tensors, lists of mappings, ...
    loss
        Loss of (outputs, targets), a scalar.
    fidelity
        Fidelity of (network, split), split one of "validation" and "test"; higher is better.
    founder_epochs, founder_learning_rate
        Training of the founder.
    clusters
        NNI's config for the layers that may lose clusters, without the sparsity. What reaches the output stays anyway.
    screening
        One batch of validation (inputs, targets), of some hundred examples, on which candidates are judged.
    optimizer
        Makes an optimizer of (parameters, learning rate).
    """

    network: Callable[[], nn.Module]
    example_input: torch.Tensor | tuple[torch.Tensor, ...]
    loader: Callable[[torch.Generator], Batches]
    loss: Callable[[Any, Any], torch.Tensor]
    fidelity: Callable[[nn.Module, str], float]
    founder_epochs: int
    founder_learning_rate: float
    clusters: dict = field(default_factory=lambda: {"op_types": ["Conv2d", "Linear"]})
    optimizer: Callable = torch.optim.Adam
    screening: tuple[Any, Any] | None = None


def train(network: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int,
          after_epoch: Callable[[int], None] | None = None) -> None:
    """Train for `epochs` (a fraction is allowed), the learning rate falling to 0 along a cosine.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    torch.manual_seed(seed)  # dropout and the like draw from the global generator
    optimizer = task.optimizer(network.parameters(), lr=learning_rate)
    batches = _endless(task, seed)
    steps = round(epochs * len(task.loader(torch.Generator())))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    per_epoch = max(1, round(steps / max(epochs, 1)))
    network.train()
    for step in range(1, steps + 1):
        _optimize(network, optimizer, task.loss, next(batches))
        schedule.step()
        if after_epoch and (step % per_epoch == 0 or step == steps):
            after_epoch(math.ceil(step / per_epoch))
            network.train()


def _endless(task: Task, seed: int) -> Batches:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from task.loader(generator)


def _optimize(network, optimizer, loss_function, batch):
    inputs, targets = batch
    optimizer.zero_grad()
    loss = loss_function(answer(network, inputs), targets)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}")
    loss.backward()
    optimizer.step()


def stress_evaluator(ancestor: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int):
    """NNI's evaluator that trains the ancestor for `epochs`, None where that is nothing, and how many steps these are."""
    from nni.compression.utils.evaluator import TorchEvaluator

    steps, batches = round(epochs * len(task.loader(torch.Generator()))), _endless(task, seed)

    def training_func(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        model.train()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _stressed_rate(step / max_steps))
        for _ in range(max_steps):
            _optimize(model, optimizer, task.loss, next(batches))
            schedule.step()

    if not steps:
        return None, 0
    optimizer = nni.trace(task.optimizer)(ancestor.parameters(), lr=learning_rate)
    return TorchEvaluator(training_func, optimizer, lambda batch, model: task.loss(answer(model, batch[0]), batch[1])), steps


def _stressed_rate(progress: float) -> float:
    """Share of the learning rate: a linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return max(0.01, progress / WARM_UP)
    return COOL_DOWN + (1 - COOL_DOWN) * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
