"""The fields of a task, checked before any of its functions is called."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..utils.batches import tensors_in
from ..utils.messages import short

if TYPE_CHECKING:
    from .task import Task

_FUNCTIONS = ("network", "loader", "loss", "fidelity", "optimizer")


def wrong_fields(task: Task) -> Iterator[str]:
    """What is wrong with the fields of a task, a line each.

    Parameters
    ----------
    task
        The task. Its functions are not called.

    Examples
    --------
    >>> from nni_stress import Task
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=torch.rand(8, 4), loader=[1, 2],
    ...     loss=nn.functional.mse_loss, fidelity=lambda network, split: 0.0,
    ...     founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> list(wrong_fields(task))
    ['Task.loader must be a function, but is a list of 2']
    """
    for name in _FUNCTIONS:
        if not callable(getattr(task, name)):
            yield f"Task.{name} must be a function, but is {kind_of(getattr(task, name))}"
    if not tensors_in(task.example_input):
        yield (
            "Task.example_input must be a batch of inputs, a tensor or a tuple of tensors, "
            f"but is {kind_of(task.example_input)}"
        )
    if not _is_number(task.founder_epochs) or task.founder_epochs < 0:
        epochs = short(task.founder_epochs)
        yield f"Task.founder_epochs must be a number of at least 0, but is {epochs}"
    if not _is_number(task.founder_learning_rate) or task.founder_learning_rate <= 0:
        rate = short(task.founder_learning_rate)
        yield f"Task.founder_learning_rate must be a number above 0, but is {rate}"
    if not _is_number(task.founder_warm_up) or not 0 <= task.founder_warm_up <= 1:
        share = short(task.founder_warm_up)
        yield f"Task.founder_warm_up must be a share in [0, 1], but is {share}"
    if task.autocast is not None and not isinstance(task.autocast, torch.dtype):
        yield f"Task.autocast must be a torch.dtype or None, but is {short(task.autocast)}"
    if not isinstance(task.clusters, Mapping):
        yield (
            'Task.clusters must be a mapping such as {"op_types": ["Linear"]}, '
            f"but is {kind_of(task.clusters)}"
        )


def wrong_names(clusters: Mapping[str, Any], network: nn.Module) -> Iterator[str]:
    """Names in a task's clusters that select nothing, because nothing is called so, a line each.

    NNI ignores them, so that layers silently stay, or go.

    Parameters
    ----------
    clusters
        NNI's config of the layers that may lose clusters.
    network
        The network.

    Examples
    --------
    >>> list(wrong_names({"op_types": ["Conv2D"]}, nn.Sequential(nn.Conv2d(1, 1, 3))))
    ["Task.clusters: op_types must name types of layers, but 'Conv2D' is none; is it 'Conv2d'?"]
    """
    kinds = {kind.__name__ for module in network.modules() for kind in type(module).__mro__}
    kinds |= {name for name in dir(nn) if isinstance(getattr(nn, name), type)}
    layers = {name for name, _ in network.named_modules()}
    for entry in ("op_types", "exclude_op_types"):
        for name in _unknown(clusters.get(entry), kinds):
            yield (
                f"Task.clusters: {entry} must name types of layers, but {name!r} is none"
                f"{suggestion(name, kinds)}"
            )
    for entry in ("op_names", "exclude_op_names"):
        for name in _unknown(clusters.get(entry), layers):
            yield (
                f"Task.clusters: {entry} must name modules of the network, but {name!r} is none"
                f"{suggestion(name, layers)}"
            )


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that is not known; empty if nothing is near.

    Examples
    --------
    >>> suggestion("los", ["loader", "loss"])
    "; is it 'loss'?"
    """
    near = {each.lower(): each for each in sorted(known)}
    found = difflib.get_close_matches(name.lower(), near, 1)
    return f"; is it {near[found[0]]!r}?" if found else ""


def _unknown(names: Any, known: set[str]) -> list[str]:
    """The names that are not known; what is no list of names is for the pruner to refuse."""
    if not isinstance(names, (list, tuple)):
        return []
    return [name for name in names if isinstance(name, str) and name not in known]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def kind_of(value: Any) -> str:
    """What a value is, for a message.

    Examples
    --------
    >>> kind_of((1, 2)), kind_of(torch.zeros(3)), kind_of(None)
    ('a tuple of 2', 'a Tensor of shape (3,)', 'None')
    """
    if value is None:
        return "None"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    of_shape = "" if shape is None else f" of shape {tuple(shape)}"
    return f"a {type(value).__name__}{of_shape}"
