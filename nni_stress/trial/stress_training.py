"""Training of an ancestor under stress, by one of NNI's evaluators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import nni
import torch
from torch import nn

from ..utils.batches import answer
from . import progress
from .contract import batches_per_epoch, steps_in
from .epochs import Epochs
from .snapshots import Snapshots, restoring
from .task import Task
from .training import loop_state, optimize, restore_loop

if TYPE_CHECKING:
    from nni.compression.utils.evaluator import TorchEvaluator

    from ..pruning.pruner import StressPruner

WARM_UP = 0.1  # share of the stress phase over which its learning rate rises
COOL_DOWN = 0.1  # share of the learning rate to which it falls by the end of the stress phase


class StressSnapshots:
    """Takes snapshots of a training under stress, and lets it resume from one.

    Parameters
    ----------
    snapshots
        Where they are written.
    saved
        State from which the training resumes; None: it begins.

    Attributes
    ----------
    pruner
        Holds the state of the network and of stress. It is made with the evaluator that trains, so
        it is set afterwards.

    Examples
    --------
    >>> StressSnapshots(None, saved=None).pruner is None
    True
    """

    def __init__(self, snapshots: Snapshots, saved: Mapping[str, Any] | None):
        self.pruner: StressPruner | None = None
        self._snapshots = snapshots
        self._saved = saved

    def begin(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        generator: torch.Generator,
        steps: int,
    ) -> int:
        """Restore the state from which the training resumes.

        Parameters
        ----------
        optimizer, schedule, generator
            Of the training; the generator is that of its batches.
        steps
            Length of the training.

        Returns
        -------
        int
            How many steps have been taken.

        Raises
        ------
        SnapshotError
            If the state is that of another training.
        """
        if self._saved is None or self.pruner is None:
            return 0
        saved = self._saved
        with restoring():
            if saved["steps"] != steps:
                raise ValueError(
                    f"the stress phase has {steps} steps, "
                    f"but its state is of one with {saved['steps']}"
                )
            self.pruner.restore_stress(saved["pruner"])
            restore_loop(optimizer, schedule, generator, saved)
            return int(saved["step"])

    def take(
        self,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        generator: torch.Generator,
        steps: int,
        step: int,
    ) -> None:
        """Take a snapshot between two epochs, if it is due.

        Parameters
        ----------
        optimizer, schedule, generator, steps
            As for `begin`.
        step
            How many steps have been taken.
        """
        pruner = self.pruner
        if pruner is not None:
            self._snapshots.write(
                "stress",
                lambda: {
                    "pruner": pruner.stress_state(),
                    "steps": steps,
                    "step": step,
                    **loop_state(optimizer, schedule, generator),
                },
            )


def stress_evaluator(
    ancestor: nn.Module,
    task: Task,
    epochs: float,
    learning_rate: float,
    seed: int,
    timed: Callable[[], AbstractContextManager[None]] = nullcontext,
    snapshots: StressSnapshots | None = None,
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
    snapshots
        Takes snapshots of the training. None: it cannot be resumed.

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

    if not epochs:
        return None, 0
    per_epoch = batches_per_epoch(task)
    steps = steps_in(epochs, per_epoch)
    generator = torch.Generator().manual_seed(seed)

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
        parts = (optimizer, schedule, generator, max_steps)
        taken = 0 if snapshots is None else snapshots.begin(*parts)
        batches = Epochs(task, generator)
        with timed():
            for step in range(taken + 1, max_steps + 1):
                loss = optimize(model, optimizer, task, batches.next_batch())
                schedule.step()
                progress.stepped(step, max_steps, per_epoch, loss)
                # At the end the offspring is drawn already.
                epoch_ended = step % per_epoch == 0 and step < max_steps
                if epoch_ended and batches.end_epoch() and snapshots is not None:
                    snapshots.take(*parts, step)

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
