"""What the functions of a task return, checked.

What is wrong with them is wrong in every trial, so that it ends the experiment.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import nn

from ..utils.messages import one_line
from .errors import InputError, fatal
from .fields import kind_of, wrong_fields
from .task import Batches, Task


def task_of(make_task: Callable[[], Task]) -> Task:
    """The task that a user's function makes, with its fields checked.

    Parameters
    ----------
    make_task
        The function; what it raises ends the experiment.

    Raises
    ------
    InputError
        If it raises anything, makes something else, or a field of the task is wrong.

    Examples
    --------
    >>> task_of(lambda: None)
    Traceback (most recent call last):
        ...
    nni_stress.trial.errors.InputError: make_task must return an nni_stress.Task, but returned None
    """
    with fatal():
        task = make_task()
    if not isinstance(task, Task):
        raise InputError(f"make_task must return an nni_stress.Task, but returned {kind_of(task)}")
    for fault in wrong_fields(task):
        raise InputError(fault)
    return task


def network_of(task: Task) -> nn.Module:
    """The founder's network, untrained.

    Raises
    ------
    InputError
        If the task makes something else.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> network_of(SimpleNamespace(network=lambda: nn.Linear(4, 2)))  # in place of a Task
    Linear(in_features=4, out_features=2, bias=True)
    """
    network = task.network()
    if not isinstance(network, nn.Module):
        raise InputError(
            f"Task.network must return a torch.nn.Module, but returned {kind_of(network)}"
        )
    return network


def batches_per_epoch(task: Task) -> int:
    """Number of batches of one epoch.

    Raises
    ------
    InputError
        If the task's loader has no length, or no batches.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> batches_per_epoch(SimpleNamespace(loader=lambda generator: ["batch", "batch"]))
    2
    """
    batches = task.loader(torch.Generator())
    try:
        number = len(batches)
    except TypeError as error:
        raise InputError(
            "Task.loader must return batches that have a length, such as a list, or a DataLoader "
            f"whose data set has one, but returned {kind_of(batches)}: {one_line(error)}"
        ) from error
    if number < 1:
        raise no_batches(batches)
    return number


def steps_in(epochs: float, per_epoch: int) -> int:
    """Number of optimizer steps: whole ones, and at least one where any time is given.

    Examples
    --------
    >>> steps_in(0.5, 10), steps_in(0.01, 10), steps_in(0.0, 10)
    (5, 1, 0)
    """
    return max(1, round(epochs * per_epoch)) if epochs else 0


def pair(batch: Any, expected: str) -> tuple[Any, Any]:
    """Inputs and targets of a batch.

    Parameters
    ----------
    batch
        A tuple or list of two.
    expected
        What the error says before it tells what was got.

    Raises
    ------
    InputError
        If the batch is anything else: a tensor or mapping of two would come apart, too.

    Examples
    --------
    >>> pair(["inputs", "targets"], "a pair expected, but got")
    ('inputs', 'targets')
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise InputError(f"{expected} {kind_of(batch)}")
    return batch[0], batch[1]


def scalar(loss: Any) -> torch.Tensor:
    """The loss that a task has computed.

    Raises
    ------
    InputError
        If it is no tensor of one element, or does not depend on any weight.

    Examples
    --------
    >>> scalar(0.5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nni_stress.trial.errors.InputError: Task.loss must return ..., but returned a float
    """
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise InputError(
            f"Task.loss must return a tensor of one element, but returned {kind_of(loss)}"
        )
    if not loss.requires_grad:
        raise InputError(
            "Task.loss must return a tensor that depends on the network's weights, but returned "
            "one without a gradient"
        )
    return loss


def fidelity_of(task: Task, network: nn.Module, split: str) -> float:
    """Fidelity (accuracy or mAP) of a network, as a number.

    Parameters
    ----------
    task
        Judges the network.
    network
        The network.
    split
        "validation" or "test".

    Raises
    ------
    InputError
        If the task returns no number, and no tensor or array of one element.
    FloatingPointError
        If the number is not finite.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(fidelity=lambda network, split: torch.tensor([0.5]))
    >>> fidelity_of(task, nn.Linear(4, 2), "validation")
    0.5
    """
    value = task.fidelity(network, split)
    number = value.item() if hasattr(value, "item") and _size(value) == 1 else value
    if not isinstance(number, Real) or isinstance(number, bool):
        raise InputError(
            f"Task.fidelity must return one number, higher for a better network, but returned "
            f"{kind_of(value)} for the split {split!r}"
        )
    if not math.isfinite(number):
        raise FloatingPointError(
            f"Task.fidelity must return a finite number, but returned {float(number)} for the "
            f"split {split!r}"
        )
    return float(number)


def _size(value: Any) -> int:
    """Number of elements of a tensor, an array or a number of NumPy's."""
    return math.prod(getattr(value, "shape", ()))


def no_batches(batches: Batches) -> InputError:
    """The error that a task's loader gives no batches.

    Examples
    --------
    >>> print(no_batches([]))
    Task.loader must return at least one batch, but the list that it returned has none
    """
    return InputError(
        f"Task.loader must return at least one batch, but the {type(batches).__name__} that it "
        "returned has none"
    )
