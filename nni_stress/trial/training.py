"""Training of a task's networks: plain training, and training by one of NNI's evaluators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import nni
import torch
from torch import nn

from ..graph.serialization import laid_out_as
from ..utils.batches import answer
from ..utils.messages import one_line
from .contract import batches_per_epoch, endless, scalar
from .task import Task

if TYPE_CHECKING:
    from nni.compression.utils.evaluator import TorchEvaluator

WARM_UP = 0.1  # share of the stress phase over which its learning rate rises
COOL_DOWN = 0.1  # share of the learning rate to which it falls by the end of the stress phase


class Training:
    """A training that can be interrupted between two epochs.

    Iterating over it trains: each iteration is one optimizer step, and yields its loss.

    Parameters
    ----------
    network
        Trained in place.
    task
        Its data, loss and optimizer. Random choices of its loader may come from the generator that
        it is given and from torch's global one, but from no other.
    epochs
        Length, not necessarily a whole number. The learning rate falls to 0 along half a cosine.
    learning_rate
        Highest learning rate.
    seed
        Seed of the order of the batches and of torch's global generator, which dropout uses.
    warm_up
        Share of the steps over which the learning rate first rises linearly.

    Attributes
    ----------
    step, steps
        Number of optimizer steps taken so far, and in all.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1),
    ...     example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)],
    ...     loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: -float((network(inputs) - targets).abs().mean()),
    ...     founder_epochs=1,
    ...     founder_learning_rate=1e-3,
    ... )
    >>> training = Training(task.network(), task, epochs=3, learning_rate=1e-2, seed=0)
    >>> len(list(training)), training.step
    (3, 3)
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
        self._network = network
        self._task = task
        self._generator = torch.Generator().manual_seed(seed)
        self._optimizer = task.optimizer(network.parameters(), lr=learning_rate)
        per_epoch = batches_per_epoch(task)
        self.step = 0
        self.steps = round(epochs * per_epoch)
        self._per_epoch = max(1, min(per_epoch, self.steps))
        self._schedule = _schedule(self._optimizer, self.steps, round(warm_up * self.steps))

    @property
    def epoch(self) -> int:
        """Number of epochs begun so far; a shorter last one counts."""
        return math.ceil(self.step / self._per_epoch)

    @property
    def between_epochs(self) -> bool:
        """Whether an epoch, or the whole training, has just ended."""
        return self.step % self._per_epoch == 0 or self.step == self.steps

    def __iter__(self) -> Iterator[float]:
        """Take the remaining steps, each of which yields its loss.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        """
        batches = endless(self._task, self._generator)
        while self.step < self.steps:
            self._network.train()
            loss = _optimize(self._network, self._optimizer, self._task, next(batches))
            self._schedule.step()
            self.step += 1
            yield loss

    def state(self) -> dict[str, Any]:
        """A snapshot between two epochs, from which the training can be resumed.

        Tensors are shared with the training, not copied.
        """
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
        """Resume from a snapshot.

        Parameters
        ----------
        state
            What `state` returned.

        Raises
        ------
        ValueError
            If it comes from a training of another length or network.
        """
        if state["steps"] != self.steps:
            raise ValueError(
                f"the training has {self.steps} steps, "
                f"but its state is of one with {state['steps']}"
            )
        try:
            self._network.load_state_dict(state["network"])
        except RuntimeError as error:
            raise ValueError(
                f"the training's state is of another network: {one_line(error)}"
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
    """Train to completion.

    Parameters
    ----------
    network, task, epochs, learning_rate, seed
        As of `Training`.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.

    Examples
    --------
    >>> inputs = torch.rand(8, 4)
    >>> targets = inputs.sum(1, keepdim=True)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> network = task.network()
    >>> before = task.loss(network(inputs), targets)
    >>> train(network, task, epochs=50, learning_rate=0.1, seed=0)
    >>> bool(task.loss(network(inputs), targets) < before)
    True
    """
    for _ in Training(network, task, epochs, learning_rate, seed):
        pass


def founder_training(network: nn.Module, task: Task, seed: int) -> Training:
    """The training of the task's founder, not begun.

    Parameters
    ----------
    network, task, seed
        As of `Training`.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=3, founder_learning_rate=0.1,
    ... )
    >>> training = founder_training(task.network(), task, seed=0)
    >>> training.step, training.steps
    (0, 3)
    """
    return Training(
        network, task, task.founder_epochs, task.founder_learning_rate, seed, task.founder_warm_up
    )


def _schedule(
    optimizer: torch.optim.Optimizer, steps: int, rising: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """A linear rise over the first steps, then half a cosine."""
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps - rising, 1))
    if not rising:
        return falling
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (rising + 1), total_iters=rising)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, falling], [rising])


def _optimize(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, batch: tuple[Any, Any]
) -> float:
    inputs, targets = batch
    optimizer.zero_grad()
    with torch.autocast(
        next(network.parameters()).device.type, task.autocast, enabled=task.autocast is not None
    ):
        loss = scalar(task.loss(answer(network, inputs), targets))
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
    timed: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[TorchEvaluator | None, int]:
    """NNI's evaluator that trains the ancestor under stress.

    Parameters
    ----------
    ancestor
        The network.
    task
        Its data, loss and optimizer.
    epochs
        Length of the stress phase.
    learning_rate
        Highest learning rate.
    seed
        Seed of the order of the batches.
    timed
        Makes a context within which the training runs.

    Returns
    -------
    (evaluator, steps)
        `steps` is the number of optimizer steps. If there are none, the evaluator is None.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> evaluator, steps = stress_evaluator(task.network(), task, 5, learning_rate=0.1, seed=0)
    >>> steps
    5
    """
    from nni.compression.utils.evaluator import TorchEvaluator

    steps = round(epochs * batches_per_epoch(task))
    batches = endless(task, torch.Generator().manual_seed(seed))

    def training_func(
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        training_step: Any,
        lr_schedulers: Any,
        max_steps: int,
        max_epochs: int | None,
    ) -> None:
        model.train()
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _stress_rate(step / max_steps)
        )
        with timed():
            for _ in range(max_steps):
                _optimize(model, optimizer, task, next(batches))
                schedule.step()

    if not steps:
        return None, 0
    optimizer = nni.trace(task.optimizer)(ancestor.parameters(), lr=learning_rate)
    evaluator = TorchEvaluator(
        training_func, optimizer, lambda batch, model: task.loss(answer(model, batch[0]), batch[1])
    )
    return evaluator, steps


def _stress_rate(progress: float) -> float:
    """Share of the highest learning rate: a linear warm-up, then half a cosine.

    Importance is gathered during the warm-up, before stress begins.
    """
    if progress < WARM_UP:
        return max(0.01, progress / WARM_UP)
    cosine = math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))
    return COOL_DOWN + (1 - COOL_DOWN) * (1 + cosine) / 2
