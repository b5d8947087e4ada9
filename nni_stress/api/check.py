"""A task tried out before an evolution, from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..trial.checking.check import examine
from ..trial.checking.plan import Plan
from ..trial.checking.report import CheckedTask
from ..trial.errors import InputError
from ..trial.fields import kind_of
from ..trial.task import Task
from .evolve import check_folder, default_space


def check(
    task: Task,
    folder: str | Path | None = None,
    *,
    space: Mapping[str, Any] | None = None,
    founder: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    **arguments: Any,
) -> CheckedTask:
    """Try a task out before an evolution starts: every function, and a few steps of every phase.

    What is wrong with the task is not raised, but told in a line that names the field of the task,
    what was got and what was expected. Later steps run all the same where they can.

    Parameters
    ----------
    task
        The task. Nothing of it is changed, nor is torch's generator.
    folder, space, founder, resume, workers
        As of `evolve`. Nothing is written.
    **arguments
        Further arguments of `evolve`, such as `generations` and `resource`.

    Returns
    -------
    CheckedTask
        All findings, with `ok`, `faults`, `warnings` and `estimate`: what an evolution will cost.
        ``print`` shows it line by line.

    Examples
    --------
    >>> import torch
    >>> inputs, targets = torch.rand(64, 4), torch.rand(64, 1)
    >>> task = Task(
    ...     network=lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1)),
    ...     example_input=inputs, loader=lambda generator: [(inputs, targets)],
    ...     loss=lambda outputs, targets: (outputs - targets).mean() * float("nan"),
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> print(check(task).faults[0])  # doctest: +ELLIPSIS
    Task.loss must be finite, but is nan for outputs, (64, 1) float32, and a batch's targets, ...
    """

    def given() -> Task:
        if not isinstance(task, Task):
            raise InputError(f"check takes an nni_stress.Task, but got {kind_of(task)}")
        return task

    def plan() -> Plan:
        if folder is not None:
            check_folder(Path(folder), resume)
        wanted = default_space(task) if space is None and isinstance(task, Task) else space
        return Plan.of(arguments, wanted, workers, "arguments")

    return examine(given, plan, founder)
