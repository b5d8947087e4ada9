"""A task: what is to be evolved, and on which data."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

Batches = Iterable[tuple[Any, Any]]


class FusedAdam(torch.optim.Adam):
    """Adam that updates all parameters in one pass over memory: on a large network half of a training step is saved."""

    def __init__(self, params, lr: float = 1e-3, **arguments):
        super().__init__(params, lr=lr, **{"fused": True, **arguments})

    # Without the decorators by which torch imports all of torch.compile, for over a second, at the first call.
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)


@dataclass(frozen=True)
class Task:
    """What is to be evolved: the network, its data, and what counts as good.

    Parameters
    ----------
    network
        Makes the founder's network, untrained, on the device on which it is to train; example input, batches and screening
        must be there, too.
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
    founder_warm_up
        Share of it over which the learning rate rises from nearly 0; detectors from scratch need it.
    clusters
        NNI's config for the layers that may lose clusters, without the sparsity. What reaches the output stays anyway.
    screening
        One batch of validation (inputs, targets), of some hundred examples, on which candidates are judged.
    optimizer
        Makes an optimizer of (parameters, learning rate).
    autocast
        Training computes in this type where PyTorch holds that to be safe (``torch.autocast``), None: in float32. On
        processors that have bfloat16, ``torch.bfloat16`` halves the time. Fidelity is judged as ``fidelity`` does it.
    """

    network: Callable[[], nn.Module]
    example_input: torch.Tensor | tuple[torch.Tensor, ...]
    loader: Callable[[torch.Generator], Batches]
    loss: Callable[[Any, Any], torch.Tensor]
    fidelity: Callable[[nn.Module, str], float]
    founder_epochs: int
    founder_learning_rate: float
    clusters: dict = field(default_factory=lambda: {"op_types": ["Conv2d", "Linear"]})
    optimizer: Callable = FusedAdam
    screening: tuple[Any, Any] | None = None
    autocast: torch.dtype | None = None
    founder_warm_up: float = 0.0


def load_task(name: str, arguments: Mapping[str, Any] | None = None) -> Task:
    """Make the task that ``trial.py:make_task`` or ``package.module:make_task`` names, with these arguments.

    Raises
    ------
    ValueError
        If there is no such file, module or function, or it does not make a task; with the reason in one line.
    """
    source, _, function = name.rpartition(":")
    if not source or not function:
        raise ValueError(f"--task takes FILE.py:FUNCTION or MODULE:FUNCTION, but got {name!r}")
    try:
        task = getattr(_import(source), function)(**(arguments or {}))
    except (Exception, SystemExit) as error:  # the user's own code, which may end in any way
        raise ValueError(
            f"{name} cannot be used: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(task, Task):
        raise ValueError(f"{name} must make an nni_stress.Task, but made {type(task).__name__}")
    return task


def _import(source: str):
    """A module, as `python3 source.py` or `python3 -m source` would find it."""
    if not source.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(source)
    path = Path(source).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
