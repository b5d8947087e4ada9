"""Plain training of a task's networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ..graph.memory_layout import laid_out_as
from ..graph.network_file import tensors_of
from ..utils.batches import answer
from ..utils.messages import one_line
from . import progress
from .contract import batches_per_epoch, scalar, steps_in
from .epochs import Epochs
from .random_state import random_state, restore_random_state
from .task import Task


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
        self._resumable = True
        per_epoch = batches_per_epoch(task)
        self.step = 0
        self.steps = steps_in(epochs, per_epoch)
        self._per_epoch = max(1, min(per_epoch, self.steps))
        self._schedule = _schedule(self._optimizer, self.steps, round(warm_up * self.steps))

    @property
    def epochs(self) -> int:
        """Number of epochs in all; a shorter last one counts."""
        return math.ceil(self.steps / self._per_epoch)

    @property
    def epoch(self) -> int:
        """Number of epochs begun so far; a shorter last one counts."""
        return math.ceil(self.step / self._per_epoch)

    @property
    def between_epochs(self) -> bool:
        """Whether an epoch, or the whole training, has just ended."""
        return self.step % self._per_epoch == 0 or self.step == self.steps

    @property
    def resumable(self) -> bool:
        """Whether a training that resumes from the present `state` ends with the same network.

        That is so between two epochs, provided that the loader is as long as it says.
        """
        return self._resumable

    def __iter__(self) -> Iterator[float]:
        """Take the remaining steps, each of which yields its loss.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        """
        batches = Epochs(self._task, self._generator)
        while self.step < self.steps:
            self._network.train()
            loss = optimize(self._network, self._optimizer, self._task, batches.next_batch())
            self._schedule.step()
            self.step += 1
            progress.stepped(self.step, self.steps, self._per_epoch, loss)
            self._resumable = self.step == self.steps or (
                self.between_epochs and batches.end_epoch()
            )
            yield loss

    def state(self) -> dict[str, Any]:
        """A snapshot between two epochs, from which the training can be resumed.

        Tensors are shared with the training, not copied.
        """
        return {
            "network": {n: tensor.detach() for n, tensor in tensors_of(self._network).items()},
            "step": self.step,
            "steps": self.steps,
            **loop_state(self._optimizer, self._schedule, self._generator),
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
            unsaved = tensors_of(self._network).keys() - self._network.state_dict().keys()
            self._network.load_state_dict(
                {n: tensor for n, tensor in state["network"].items() if n not in unsaved}
            )
        except RuntimeError as error:
            raise ValueError(
                f"the training's state is of another network: {one_line(error)}"
            ) from None
        restore_loop(self._optimizer, self._schedule, self._generator, state)
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


def mixed_precision(network: nn.Module, task: Task) -> torch.autocast:
    """The context in which a task's networks compute while they train.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(autocast=torch.bfloat16)  # in place of a Task
    >>> network = nn.Linear(2, 2)
    >>> with mixed_precision(network, task):
    ...     network(torch.rand(1, 2)).dtype
    torch.bfloat16
    """
    device = next(network.parameters()).device.type
    return torch.autocast(device, task.autocast, enabled=task.autocast is not None)


def optimize(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, batch: tuple[Any, Any]
) -> float:
    """Take one optimizer step.

    Parameters
    ----------
    network
        The network, in training mode.
    optimizer
        Its optimizer.
    task
        Its loss.
    batch
        Inputs and targets.

    Returns
    -------
    float
        The loss before the step.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    inputs, targets = batch
    optimizer.zero_grad()
    with mixed_precision(network, task):
        loss = scalar(task.loss(answer(network, inputs), targets))
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}")
    loss.backward()
    optimizer.step()
    return loss.item()


def loop_state(
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
) -> dict[str, Any]:
    """State of a training beside its network, between two epochs.

    Parameters
    ----------
    optimizer, schedule
        Of the training.
    generator
        Generator of the order of its batches.
    """
    return {
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "order": generator.get_state(),
        "random": random_state(),
    }


def restore_loop(
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    generator: torch.Generator,
    state: Mapping[str, Any],
) -> None:
    """Resume from what `loop_state` returned for the same kinds of objects."""
    _restore_optimizer(optimizer, state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    generator.set_state(state["order"])
    if "random" in state:
        restore_random_state(state["random"])
    else:  # of a checkpoint that version 0.1.0 wrote
        torch.set_rng_state(state["chance"])


def _restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Set an optimizer to a state, in the memory layout of its parameters."""
    optimizer.load_state_dict(state)
    for parameter, remembered in optimizer.state.items():
        remembered.update(
            {kind: laid_out_as(parameter, value) for kind, value in remembered.items()}
        )
