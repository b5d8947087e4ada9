"""A task, and training for it: plainly, and under NNI's eyes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ContextManager

import nni
import torch
from torch import nn

from ..graph.serialization import laid_out_as
from ..utils.batches import answer
from .task import Task

# Of the stress phase: its learning rate rises for this share, while importance is gathered in calm, and falls to that share.
WARM_UP, COOL_DOWN = 0.1, 0.1


class Training:
    """A training under way: to iterate over it is to train, and its state between two epochs is all that it needs to go on.

    Parameters
    ----------
    network
        Trained in place.
    task
        Its loader may draw from its generator and from torch's, from no other source of chance.
    epochs
        A fraction is allowed; the learning rate falls to 0 over them along a cosine.
    learning_rate
        The first.
    seed
        Of the order of the batches, and of torch's generator: dropout and the like draw from it.
    warm_up
        Share of the steps over which the learning rate rises, linearly, before it falls.

    Attributes
    ----------
    step, steps
        How many optimizer steps were taken, and how many there are in all.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        epochs: float,
        learning_rate: float,
        seed: int,
        warm_up: float = 0.0,
    ):
        torch.manual_seed(seed)
        self._network, self._task = network, task
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = task.optimizer(network.parameters(), lr=learning_rate)
        per_epoch = len(task.loader(torch.Generator()))
        self.step, self.steps = 0, round(epochs * per_epoch)
        self._per_epoch = max(1, min(per_epoch, self.steps))
        self._schedule = _schedule(self._optimizer, self.steps, round(warm_up * self.steps))

    @property
    def epoch(self) -> int:
        """How many epochs were begun; a last, shorter one counts."""
        return math.ceil(self.step / self._per_epoch)

    @property
    def between_epochs(self) -> bool:
        """Whether an epoch, or all, has just ended."""
        return self.step % self._per_epoch == 0 or self.step == self.steps

    def __iter__(self) -> Iterator[float]:
        """Take the steps that are left. Each yields its loss.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        """
        batches = _endless(self._task, self._generator)
        while self.step < self.steps:
            self._network.train()
            loss = _optimize(self._network, self._optimizer, self._task, next(batches))
            self._schedule.step()
            self.step += 1
            yield loss

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, between two epochs; tensors are shared, not copied."""
        return {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "order": self._generator.get_state(),
            "chance": torch.get_rng_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. A ValueError where it is of a training of another length or network."""
        if state["steps"] != self.steps:
            raise ValueError(
                f"the training has {self.steps} steps, but its state is of one with {state['steps']}"
            )
        try:
            self._network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(
                f"the training's state is of another network: {' '.join(str(error).split())}"
            ) from None
        self._optimizer.load_state_dict(state["optimizer"])
        for parameter, remembered in self._optimizer.state.items():
            remembered.update(
                {kind: laid_out_as(parameter, value) for kind, value in remembered.items()}
            )
        self._schedule.load_state_dict(state["schedule"])
        self._generator.set_state(state["order"])
        torch.set_rng_state(state["chance"])
        self.step = state["step"]


def train(network: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int) -> None:
    """Be a :class:`Training` from its beginning to its end."""
    for _ in Training(network, task, epochs, learning_rate, seed):
        pass


def founder_training(network: nn.Module, task: Task, seed: int) -> Training:
    """The training of the task's founder."""
    return Training(
        network, task, task.founder_epochs, task.founder_learning_rate, seed, task.founder_warm_up
    )


def _schedule(
    optimizer: torch.optim.Optimizer, steps: int, rising: int
) -> torch.optim.lr_scheduler.LRScheduler:
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps - rising, 1))
    if not rising:
        return falling
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, falling], [rising])


def _endless(task: Task, generator: torch.Generator) -> Iterator[tuple[Any, Any]]:
    while True:
        yield from task.loader(generator)


def _optimize(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, batch: tuple[Any, Any]
) -> float:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast(
        next(network.parameters()).device.type, task.autocast, enabled=task.autocast is not None
    ):
        loss = task.loss(answer(network, inputs), targets)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}")
    loss.backward()
    optimizer.step()
    return loss.item()


def stress_evaluator(
    ancestor: nn.Module,
    task: Task,
    epochs: float,
    learning_rate: float,
    seed: int,
    timed: Callable[[], ContextManager] = nullcontext,
):
    """NNI's evaluator that trains the ancestor for `epochs`, None where that is nothing, and how many steps these are.

    The training runs within the context that `timed` makes.
    """
    from nni.compression.utils.evaluator import TorchEvaluator

    steps, batches = (
        round(epochs * len(task.loader(torch.Generator()))),
        _endless(task, torch.Generator().manual_seed(seed)),
    )

    def training_func(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        model.train()
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _stressed_rate(step / max_steps)
        )
        with timed():
            for _ in range(max_steps):
                _optimize(model, optimizer, task, next(batches))
                schedule.step()

    if not steps:
        return None, 0
    optimizer = nni.trace(task.optimizer)(ancestor.parameters(), lr=learning_rate)
    return TorchEvaluator(
        training_func, optimizer, lambda batch, model: task.loss(answer(model, batch[0]), batch[1])
    ), steps


def _stressed_rate(progress: float) -> float:
    """Share of the learning rate: a linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return max(0.01, progress / WARM_UP)
    return (
        COOL_DOWN
        + (1 - COOL_DOWN) * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
    )
