"""The training batches of a task, epoch after epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from .contract import no_batches, pair
from .task import Task


class Epochs:
    """The training batches of a task, epoch after epoch.

    Parameters
    ----------
    task
        Makes a loader for each epoch.
    generator
        What the loaders draw from.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(loader=lambda generator: [(1, 2), (3, 4)])  # in place of a Task
    >>> epochs = Epochs(task, torch.Generator())
    >>> epochs.next_batch(), epochs.end_epoch(), epochs.next_batch(), epochs.end_epoch()
    ((1, 2), False, (3, 4), True)
    """

    def __init__(self, task: Task, generator: torch.Generator):
        self._task = task
        self._generator = generator
        self._epoch: Iterator[Any] = iter(())
        self._ahead: list[Any] = []  # a batch that was looked at and not taken

    def next_batch(self) -> tuple[Any, Any]:
        """The next batch (inputs, targets), of the epoch under way or of a new one.

        Raises
        ------
        InputError
            If the loader gives no batches, or a batch is no pair.
        """
        batch = self._ahead or self._take()
        if not batch:
            batches = self._task.loader(self._generator)
            self._epoch = iter(batches)
            batch = self._take()
            if not batch:
                raise no_batches(batches)
        self._ahead = []
        return pair(batch[0], "batches of Task.loader must be pairs (inputs, targets), but one is")

    def _take(self) -> list[Any]:
        """The next batch of the epoch under way; empty at its end."""
        batch = list(itertools.islice(self._epoch, 1))
        if not batch:
            self._epoch = iter(())
        return batch

    def end_epoch(self) -> bool:
        """Whether all batches of the epoch have been taken. The loader is then at its very end.

        A loader may draw from the generator after its last batch, as that of torch does. So the
        generator's state before the next epoch is known only afterwards.
        """
        if not self._ahead:
            self._ahead = self._take()
        return not self._ahead
