"""The training of a trial in whole steps, so that it takes no more of them than it may."""

from __future__ import annotations

from torch import nn

from nni_stress import Task
from nni_stress.trial.contract import batches_per_epoch
from nni_stress.trial.training import train


def whole_steps(task: Task, epochs: float) -> int:
    """Number of whole optimizer steps in a number of epochs.

    Parameters
    ----------
    task
        The task, whose loader says how long an epoch is.
    epochs
        Number of epochs.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(loader=lambda generator: ["batch"] * 10)  # in place of a Task
    >>> whole_steps(task, 0.3), whole_steps(task, 0.29)
    (3, 2)
    """
    return int(epochs * batches_per_epoch(task) + 1e-6)


def divided(steps: int, parts: int) -> list[int]:
    """Steps in parts that are as equal as whole steps can be.

    Examples
    --------
    >>> divided(8, 3)
    [2, 3, 3]
    """
    return [steps * (part + 1) // parts - steps * part // parts for part in range(parts)]


def train_for(network: nn.Module, task: Task, steps: int, learning_rate: float, seed: int) -> None:
    """Train for a number of steps.

    Parameters
    ----------
    network
        Trained in place.
    task
        Its data, loss and optimizer.
    steps
        Number of optimizer steps.
    learning_rate
        Highest learning rate.
    seed
        Seed of the order of the batches.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    train(network, task, steps / batches_per_epoch(task), learning_rate, seed)
