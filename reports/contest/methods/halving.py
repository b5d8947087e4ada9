"""Successive halving: how the rivals find their hyperparameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import nn

from nni_stress import Task
from nni_stress.evolution.search import Search
from nni_stress.graph import serialization
from nni_stress.trial.contract import batches_per_epoch, fidelity_of
from nni_stress.utils.batches import MappedBatches
from nni_stress.utils.messages import one_line
from nni_stress.utils.seeding import seed_of

from .base import Found, Job, Prune, Trial

DRAWS = 4  # of hyperparameters
# Shares of the search's epochs: of each draw, and of the best of them once more.
_SHORT, _LONG = 1 / 8, 1 / 2


def search(job: Job, prune: Prune, space: Mapping[str, Any]) -> Found:
    """Try four draws for a short time, and the best of them for a long time.

    Each trial begins with the founder. A trial that fails is recorded, and the search goes on.

    Parameters
    ----------
    job
        The cell.
    prune
        Makes the small network of a trial, and trains it.
    space
        NNI's search space of its hyperparameters, but for the learning rate.

    Returns
    -------
    Found
        The network of the trial that is best on validation data, of both lengths. Each trial is
        {"knobs", "epochs", "validation"}, or has "failed", why in one line, in place of the last.

    Raises
    ------
    ValueError
        If all trials fail.
    """
    tpe = Search("TPE", {"tpe_args": {"n_startup_jobs": DRAWS}})
    rate = {"_type": "loguniform", "_value": list(job.rates)}
    space = {**space, "learning_rate": rate}
    draws = tpe.suggestions(space, [], DRAWS, seed_of(job.seed, "search"))
    trials = _Trials(job, prune)
    for knobs in draws:
        trials.run(knobs, job.epochs * _SHORT)
    if trials.best is None:
        raise ValueError(f"all {DRAWS} trials failed, the first one: {trials.records[0]['failed']}")
    trials.run(trials.best_knobs, job.epochs * _LONG)
    return Found(trials.best, sum(one["epochs"] for one in trials.records), trials.records)


def loaded(job: Job) -> nn.Module:
    """The founder of a cell, as it was trained."""
    return serialization.load(job.founder, job.task.network)


class _Trials:
    """The trials of one search.

    Attributes
    ----------
    records
        What each trial was, and found.
    best, best_knobs
        The network that is best on validation data so far, and its hyperparameters.
    """

    def __init__(self, job: Job, prune: Prune) -> None:
        self.records: list[dict[str, Any]] = []
        self.best: nn.Module | None = None
        self.best_knobs: Mapping[str, Any] = {}
        self._best_validation = float("-inf")
        self._job = job
        self._prune = prune

    def run(self, knobs: Mapping[str, Any], epochs: float) -> None:
        """Run a trial for some epochs."""
        job = self._job
        count = BatchCount(job.task)
        seed = seed_of(job.seed, "trial", len(self.records))
        trial = Trial(
            count.task, loaded(job), job.resource, 1 / job.times, epochs, dict(knobs), seed
        )
        found: dict[str, Any] = {}
        try:
            network = self._prune(trial)
            found["validation"] = fidelity_of(job.task, network, "validation")
        except Exception as error:  # whatever hyperparameters do, others may do better
            found["failed"] = one_line(error)
        else:
            if found["validation"] >= self._best_validation:
                self.best = network
                self.best_knobs = knobs
                self._best_validation = found["validation"]
        self.records.append({"knobs": dict(knobs), "epochs": count.epochs, **found})


class BatchCount:
    """Counts the training batches that are taken from a task.

    Parameters
    ----------
    task
        The task.

    Attributes
    ----------
    task
        The same task; its batches are counted.

    Examples
    --------
    >>> batch = "inputs", "targets"
    >>> count = BatchCount(Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=batch[0],
    ...     loader=lambda generator: [batch] * 4, loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ... ))
    >>> batches = iter(count.task.loader(None))
    >>> next(batches), next(batches), count.epochs
    (('inputs', 'targets'), ('inputs', 'targets'), 0.5)
    """

    def __init__(self, task: Task) -> None:
        self.task = dataclasses.replace(
            task, loader=lambda generator: MappedBatches(task.loader(generator), self._counted)
        )
        self.batches = 0
        self._per_epoch = batches_per_epoch(task)

    @property
    def epochs(self) -> float:
        """Epochs of training that the batches make up."""
        return self.batches / self._per_epoch

    def _counted(self, batch: Any) -> Any:
        self.batches += 1
        return batch
