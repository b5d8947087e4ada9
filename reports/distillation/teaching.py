"""A task whose networks learn from a teacher's answers, beside the labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from nni_stress.trial.task import Task
from nni_stress.utils.batches import MappedBatches, answer


def taught(task: Task, teacher: nn.Module, weight: float, temperature: float) -> Task:
    """A task of classification that is learnt from a teacher, too (Hinton et al. 2015).

    Parameters
    ----------
    task
        The task; its networks give a score for each class.
    teacher
        A trained network.
    weight
        Share of the teacher's part of the loss.
    temperature
        By which the scores of both are divided; the teacher's part is multiplied by its square, so
        that its gradient keeps its size.

    Returns
    -------
    Task
        For training only: its fidelity is the task's.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.randint(3, (8,))
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 3), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.cross_entropy,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> teacher = task.network()
    >>> both = taught(task, teacher, weight=1.0, temperature=2.0)
    >>> _, (labels, answers) = next(iter(both.loader(torch.Generator())))
    >>> same = answers.clone().requires_grad_()
    >>> both.loss(same, (labels, answers)).backward()
    >>> bool(same.grad.abs().max() < 1e-6)  # nothing is left to learn
    True
    """
    teacher.eval()

    @torch.no_grad()
    def answered(batch: tuple[Any, Any]) -> tuple[Any, tuple[Any, Any]]:
        inputs, targets = batch
        return inputs, (targets, answer(teacher, inputs))

    def loss(outputs: Any, both: Any) -> Any:
        targets, answers = both
        apart = nn.functional.cross_entropy(
            outputs / temperature, (answers / temperature).softmax(1)
        )
        return (1 - weight) * task.loss(outputs, targets) + weight * temperature**2 * apart

    return replace(task, loader=lambda g: MappedBatches(task.loader(g), answered), loss=loss)
