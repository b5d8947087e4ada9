"""Where a process gets a contest's task from."""

from __future__ import annotations

import functools
import json
from typing import Any

from nni_stress.pruning.own import registered, take_registered
from nni_stress.trial.placement import placed
from nni_stress.trial.task import Task, load_task

from .plan import Contest, importable_task


class Source:
    """A contest's task, for this process or another.

    Parameters
    ----------
    contest
        Names the function that makes the task.
    task
        The task itself, where it has no name; it goes to other processes by value, with the layers,
        importances and stressors that are registered in this one.
    """

    def __init__(self, contest: Contest, task: Task | None = None):
        self._name = contest.task
        self._arguments = json.dumps(dict(contest.task_arguments), sort_keys=True)
        self._task = task
        self._registered = [] if task is None else registered()

    def task(self) -> Task:
        """The task, on its device; one that has a name is made once in each process.

        Raises
        ------
        InputError, ValueError
            If there is none, or it is wrong.
        """
        if self._task is None:
            return _named(self._name, self._arguments)
        take_registered(self._registered)
        return placed(self._task)


@functools.lru_cache(maxsize=1)
def _named(name: str, arguments: str) -> Task:
    found: dict[str, Any] = json.loads(arguments)
    return placed(load_task(importable_task(name), found))
