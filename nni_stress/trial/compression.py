"""Training of an ancestor under stress, and the draw of an offspring, for a task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..hparams import Arguments
from ..pruning.screening import Screen
from .contract import pair
from .stress_training import StressSnapshots, stress_evaluator
from .task import Task

if TYPE_CHECKING:
    from ..pruning.pruner import StressPruner


def compress(
    ancestor: nn.Module,
    task: Task,
    arguments: Arguments,
    seed: int,
    budget: dict[str, float],
    timed: Callable[[], AbstractContextManager[None]] = nullcontext,
    snapshots: StressSnapshots | None = None,
) -> StressPruner:
    """A pruner that has trained the ancestor under stress and drawn the offspring's clusters.

    Parameters
    ----------
    ancestor
        Trained in place, and wrapped.
    task
        Its data and loss.
    arguments
        Hyperparameters.
    seed
        Of all random choices.
    budget
        {resource: share of the ancestor's} that the offspring may use.
    timed
        Makes a context within which the training runs.
    snapshots
        Takes snapshots of the training. None: it cannot be resumed.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1, bias=False)),
    ...     example_input=inputs, loader=lambda generator: [(inputs, targets)],
    ...     loss=nn.functional.mse_loss, fidelity=lambda network, split: 0.0,
    ...     founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> arguments = Arguments(environmental_factor=0.5, stress_epochs=5)
    >>> pruner = compress(task.network(), task, arguments, 0, {"parameters": 0.5})
    >>> int(pruner.get_masks()["0"]["weight"].any(1).sum())
    4
    """
    from ..pruning.pruner import StressPruner  # takes seconds, which the founder's trial saves

    torch.manual_seed(seed)
    evaluator, steps = stress_evaluator(
        ancestor,
        task,
        arguments.stress_epochs,
        arguments.learning_rate,
        seed,
        timed,
        snapshots,
    )
    pruner = StressPruner(
        ancestor,
        [task.clusters],
        evaluator,
        steps or None,
        seed=seed,
        budget=budget,
        example_input=task.example_input,
        candidates=int(arguments.candidates),
        screen=screen_of(task, arguments),
        floor=int(arguments.floor),
        multiple=int(arguments.multiple),
        worth=(arguments.early_worth, arguments.late_worth),
        redundancy=arguments.redundancy,
        **arguments.for_pruner(),
    )
    if snapshots is not None:
        snapshots.pruner = pruner
    pruner.compress()
    ancestor.eval()
    return pruner


def screen_of(task: Task, arguments: Arguments) -> Screen | None:
    """What judges the candidates of an offspring; None if there is only one.

    Raises
    ------
    ValueError
        If the task has no screening, or one that is no pair or has no examples.

    Examples
    --------
    >>> screen_of(None, Arguments(candidates=1)) is None  # no task is needed
    True
    """
    if arguments.candidates <= 1:
        return None
    if task.screening is None:
        raise ValueError(
            f"candidates={arguments.candidates} needs Task.screening, a batch to judge them on, "
            "but got none"
        )
    inputs, targets = pair(
        task.screening, "Task.screening must be a pair (inputs, targets), but is"
    )
    return Screen(inputs, targets, task.loss)
