"""A task: what is to be evolved, and on which data."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from ..utils.messages import one_line
from .fields import suggestion

_Kind = TypeVar("_Kind")


class Batches(Protocol):
    """The training batches of one epoch, each a pair (inputs, targets)."""

    def __len__(self) -> int:
        """Number of batches."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """The batches, in order."""


def _all_layers() -> dict[str, Any]:
    return {"op_types": ["Conv1d", "Conv2d", "Conv3d", "Linear"]}


class FusedAdam(torch.optim.Adam):
    """Adam that updates all parameters in one pass over memory.

    On a large network this saves half of a training step.

    Parameters
    ----------
    params, lr
        As of `torch.optim.Adam`.
    **arguments
        Further arguments of `torch.optim.Adam`.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> FusedAdam(network.parameters(), lr=1e-3).defaults["fused"]
    True
    """

    def __init__(self, params: Any, lr: float = 1e-3, **arguments: Any):
        super().__init__(params, lr=lr, **{"fused": True, **arguments})

    # Without torch's decorators, which import all of torch.compile at the first call, for a second.
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)


def _names_unknown_fields(kind: type[_Kind]) -> type[_Kind]:
    """Let a dataclass say which field was meant, as Python does from 3.13 on."""
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # it is a dataclass
    plain = kind.__init__

    @functools.wraps(plain)
    def init(self: Any, *values: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                meant = suggestion(name, known) or f"; known are {', '.join(known)}"
                raise TypeError(f"{kind.__name__} has no field {name!r}{meant}")
        plain(self, *values, **named)

    kind.__init__ = init  # type: ignore[assignment]
    return kind


@_names_unknown_fields
@dataclass(frozen=True)
class Task:
    """What is to be evolved: the network, its data, and how good a network is.

    Parameters
    ----------
    network
        Makes the founder's network, untrained.
    example_input
        One batch of inputs, of any size: a tensor, or a tuple of tensors for a network that takes
        several inputs.
    loader
        Makes the training batches of one epoch from a `torch.Generator` that shuffles them: a
        `DataLoader`, a list, or anything else with a length that can be iterated over. Each batch
        is a tuple or list (inputs, targets). Inputs have the form of the example; targets are
        whatever the loss takes, such as tensors or lists of mappings.
    loss
        Loss of (outputs, targets), a tensor of one element.
    fidelity
        Fidelity (accuracy or mAP) of (network, split), where split is "validation" or "test"; a
        finite number, or a tensor or array of one element, higher is better. The experiment's
        ``tolerance`` is in its unit: 0.01 is a percentage point of an accuracy in [0, 1].
    founder_epochs, founder_learning_rate
        Training of the founder.
    clusters
        NNI's config of the layers that may lose clusters (output channels or neurons), without the
        sparsity: by default all convolutions and linear layers. Clusters that reach the output stay
        in any case. If none can be removed, the experiment ends before the founder is trained.
    optimizer
        Makes an optimizer of (parameters, learning rate).
    screening
        One batch of validation (inputs, targets), of some hundred examples, on which candidates
        are judged.
    autocast
        Training computes in this type where PyTorch considers that safe (``torch.autocast``); None:
        in float32. On processors that have bfloat16, ``torch.bfloat16`` halves the time. It does
        not apply to `fidelity`.
    founder_warm_up
        Share of the founder's training over which its learning rate rises from nearly 0, which
        detectors that are trained from scratch need.
    device
        Where networks train: "cuda", "cuda:1", "cpu" or another device of PyTorch. Network,
        batches, screening and example input are moved there; within `fidelity` the network takes
        inputs from any device, and gives its outputs where the inputs were. None: the GPU that NNI
        gave the trial, or the first that there is, or else the CPU; a task whose example input is
        on a GPU already looks after all that itself.

    Examples
    --------
    >>> images, labels = torch.rand(64, 4), torch.randint(3, (64,))
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 3),
    ...     example_input=images[:2],
    ...     loader=lambda generator: [(images, labels)],
    ...     loss=nn.functional.cross_entropy,
    ...     fidelity=lambda network, split: (network(images).argmax(1) == labels).float().mean(),
    ...     founder_epochs=1,
    ...     founder_learning_rate=1e-3,
    ... )
    >>> task.clusters
    {'op_types': ['Conv1d', 'Conv2d', 'Conv3d', 'Linear']}
    """

    network: Callable[[], nn.Module]
    example_input: torch.Tensor | tuple[torch.Tensor, ...]
    loader: Callable[[torch.Generator], Batches]
    loss: Callable[[Any, Any], torch.Tensor]
    fidelity: Callable[[nn.Module, str], float]
    founder_epochs: int
    founder_learning_rate: float
    clusters: dict[str, Any] = field(default_factory=_all_layers)
    optimizer: Callable[..., torch.optim.Optimizer] = FusedAdam
    screening: tuple[Any, Any] | None = None
    autocast: torch.dtype | None = None
    founder_warm_up: float = 0.0
    device: str | torch.device | None = None


def load_task(name: str, arguments: Mapping[str, Any] | None = None) -> Task:
    """Make a task by a function that is named on a command line.

    Parameters
    ----------
    name
        ``trial.py:make_task`` or ``package.module:make_task``.
    arguments
        Keyword arguments of the function.

    Raises
    ------
    ValueError
        If there is no such file, module or function, or it does not make a task; with the reason
        in one line.

    Examples
    --------
    >>> load_task("make_task")
    Traceback (most recent call last):
        ...
    ValueError: --task takes FILE.py:FUNCTION or MODULE:FUNCTION, but got 'make_task'
    """
    source, _, function = name.rpartition(":")
    if not source or not function:
        raise ValueError(f"--task takes FILE.py:FUNCTION or MODULE:FUNCTION, but got {name!r}")
    try:
        task = getattr(_import(source), function)(**(arguments or {}))
    except (Exception, SystemExit) as error:  # the user's own code may end in any way
        raise ValueError(f"{name} cannot be used: {one_line(error)}") from error
    if not isinstance(task, Task):
        raise ValueError(f"{name} must make an nni_stress.Task, but made {type(task).__name__}")
    return task


def _import(source: str) -> ModuleType:
    """Import a module as ``python3 source.py`` or ``python3 -m source`` would find it."""
    if not source.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(source)
    path = Path(source).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise FileNotFoundError(f"no file at {path}")
    sys.path.insert(0, str(path.parent))
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
