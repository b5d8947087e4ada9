"""What the steps of a check share: the task, and what earlier steps have found and made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...utils.messages import one_line
from ..errors import InputError
from ..fields import kind_of
from ..task import Task
from .estimate import Estimate, Measured
from .plan import Plan
from .report import State


@dataclass
class Work:
    """The state of a check.

    Parameters
    ----------
    make_task
        Makes the task.
    make_plan
        Makes the plan of the evolution that is to come.
    founder
        The founder's file; None: it is trained.
    tell
        Takes (state, text) of a finding of the step under way.
    measured
        What steps took.

    Examples
    --------
    >>> work = Work(lambda: None, Plan, None, lambda state, text: print(state.value, text))
    >>> work.warn("the budget is not used")
    warning the budget is not used
    """

    make_task: Callable[[], Task]
    make_plan: Callable[[], Plan]
    founder: Path | None
    tell: Callable[[State, str], None]
    measured: Measured = field(default_factory=Measured)
    plan: Plan = field(default_factory=Plan)
    estimate: Estimate | None = None
    # Steps set these, and only those that need such a step read them.
    task: Task = None  # type: ignore[assignment]
    network: nn.Module = None  # type: ignore[assignment]
    batch: tuple[Any, Any] = (None, None)
    batches: int = 0
    screened: bool = False
    imported: float = 0.0  # seconds of the import of the pruner
    small: nn.Module = None  # type: ignore[assignment]

    def fault(self, text: str) -> None:
        """Say a fault, after which the step goes on."""
        self.tell(State.FAULT, text)

    def warn(self, text: str) -> None:
        """Say what may not be meant so."""
        self.tell(State.WARNING, text)


STEPS = 3  # of each training, the first of which is slow


@contextmanager
def expecting(text: str) -> Iterator[None]:
    """Put before an error of the block what was expected of the user's function.

    Raises
    ------
    InputError
        If the block raised any exception. An InputError is passed on as it is.

    Examples
    --------
    >>> try:
    ...     with expecting("Task.loss must take targets"):
    ...         raise ValueError("no targets")
    ... except InputError as error:
    ...     print(error)
    Task.loss must take targets, but raised ValueError: no targets
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        line = one_line(error)
        kind = type(error).__name__
        named = line if line.startswith(kind) else f"{kind}: {line}"
        raise InputError(f"{text}, but raised {named}") from error


def described(value: Any) -> str:
    """What a batch, or a part of one, holds.

    Examples
    --------
    >>> described(torch.zeros(8, 2)), described([torch.tensor([3, 1])])
    ('(8, 2) float32', '[(2) int64 from 1 to 3]')
    """
    if isinstance(value, torch.Tensor):
        shape = ", ".join(map(str, value.shape))
        text = f"({shape}) {str(value.dtype).removeprefix('torch.')}"
        whole = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
        if whole and value.numel() and not value.is_meta:
            return f"{text} from {value.min().item()} to {value.max().item()}"
        return text
    if isinstance(value, (tuple, list)) and 0 < len(value) <= 3:
        return f"[{', '.join(map(described, value))}]"
    if isinstance(value, Mapping) and 0 < len(value) <= 6:
        return f"{{{', '.join(f'{name}: {described(part)}' for name, part in value.items())}}}"
    return kind_of(value)
