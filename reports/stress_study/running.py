"""Runs cells of the study."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nni_stress.trials.founders import train_founder
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nni_stress import StressPruner, Task
from nni_stress.graph import cost, serialization
from nni_stress.hparams import Arguments
from nni_stress.resources import RESOURCES
from nni_stress.trial.compression import compress
from nni_stress.trial.contract import batches_per_epoch
from nni_stress.trial.norms import estimate_norms
from nni_stress.trial.stress_training import stress_evaluator
from nni_stress.trial.training import Training, train
from nni_stress.utils.seeding import seed_of

from ..claims import claimed, provenance
from .plan import ARMS, COMMON, FEW, STALE, Cell, Subject

_STRESS_EPOCHS = 1.0
# Epochs in which importance is measured where the synthesis comes first, at a rate that hardly
# changes the weights.
_LOOK = 0.05
_STANDING = 1e-6

Curve = dict[str, dict[str, float]]  # {length of recovery: {split: fidelity}}


def founder_of(subject: Subject, number: int, folder: Path) -> Path:
    """The file of a founder, which one process trains where it does not exist.

    Parameters
    ----------
    subject
        The network.
    number
        Seed of its training.
    folder
        Folder of all founders.
    """
    file = folder / f"{subject.name}-{number}.safetensors"
    with claimed(file.with_suffix(".lock"), wait=True):
        if not file.exists():
            train_founder(subject.task(), file, seed=number, quiet=True)
    return file


def run_cell(
    cell: Cell, subject: Subject, founder: Path, rates: tuple[float, ...] = ()
) -> dict[str, Any]:
    """Run a cell and return its record.

    Parameters
    ----------
    cell
        The cell.
    subject
        Its network.
    founder
        File of its founder.
    rates
        Learning rates of recovery to try, in place of those of the network.
    """
    task = subject.task()
    network = serialization.load(founder, task.network)
    accuracy = {split: task.fidelity(network, split) for split in ("validation", "test")}
    started = time.perf_counter()
    small, stale = small_network(network, task, cell, subject)
    synthesized = time.perf_counter()
    subjects = [dataclasses.replace(subject, short_rate=r, long_rate=r) for r in rates] or [subject]
    curves = {f"{one.long_rate:g}": stale | _curve(small, task, cell, one) for one in subjects}
    ended = time.perf_counter()
    whole = serialization.load(founder, task.network)
    return {
        **cell._asdict(),
        "founder_fidelity": accuracy,
        "times_fewer": {
            name: 1 / RESOURCES[name].measure(small, whole, task.example_input)
            for name in ("parameters", "macs")
        },
        "architecture": cost.architecture(small),
        "rates": [subject.stress_rate, subject.short_rate, subject.long_rate],
        **({"curves": curves} if rates else {"curve": next(iter(curves.values()))}),
        "seconds": {
            "synthesis": round(synthesized - started, 1),
            "recovery": round(ended - synthesized, 1),
        },
        **provenance(),
    }


def small_network(
    network: nn.Module, task: Task, cell: Cell, subject: Subject
) -> tuple[nn.Module, Curve]:
    """The small network of a cell before its recovery.

    Parameters
    ----------
    network
        The founder, which is trained in place.
    task, cell, subject
        What is run.

    Returns
    -------
    (network, curve)
        The network, and its fidelity with its ancestor's statistics of batch norms, where it has
        any.
    """
    settings = ARMS[cell.arm]
    seed = seed_of(cell.founder, cell.seed, "stress")  # the same batches for all arms
    share = 1 / subject.budgets[cell.resource]
    if settings is None:
        budget = {cell.resource: share}
        small = _synthesized_first(network, task, seed, budget)
        train(small, task, _STRESS_EPOCHS, subject.stress_rate, seed)
        return small, {}
    arguments = Arguments(
        **{**COMMON, **settings},
        learning_rate=subject.stress_rate,
        stress_epochs=_STRESS_EPOCHS,
        environmental_factor=share,
    )
    small = compress(network, task, arguments, seed, {cell.resource: share}).synthesize(
        task.example_input
    )
    stale = {}
    if any(isinstance(module, _BatchNorm) for module in small.modules()):
        stale[STALE] = _fidelity(small, task)
        estimate_norms(small, task, seed)
    return small, stale


def _synthesized_first(
    network: nn.Module, task: Task, seed: int, budget: Mapping[str, float]
) -> nn.Module:
    """An offspring without stress, by importance on a network that stands still."""
    evaluator, steps = stress_evaluator(network, task, _LOOK, _STANDING, seed)
    pruner = StressPruner(
        network,
        [task.clusters],
        evaluator,
        steps,
        seed=seed,
        stress_peak=0.0,
        **COMMON,
        budget=budget,
        example_input=task.example_input,
    )
    pruner.compress()
    small = pruner.synthesize(task.example_input)
    estimate_norms(small, task, seed)
    return small


def _curve(small: nn.Module, task: Task, cell: Cell, subject: Subject) -> Curve:
    """Fidelity after recoveries of all lengths, each from the synthesized network."""
    per_epoch = batches_per_epoch(task)
    curve = {"0": _fidelity(small, task)}
    lengths = {str(steps): steps for steps in subject.steps}
    lengths |= {f"{n} epoch{'s' * (n > 1)}": round(n * per_epoch) for n in subject.epochs}
    for name, steps in lengths.items():
        curve[name] = _recovered(small, task, cell, subject, steps)
    if subject.few:
        curve[FEW] = _recovered(small, _with_few_labels(task), cell, subject, 300)
    return curve


def _recovered(
    small: nn.Module, task: Task, cell: Cell, subject: Subject, steps: int
) -> dict[str, float]:
    network = copy.deepcopy(small)
    epochs = steps / batches_per_epoch(task)
    seed = seed_of(cell.founder, cell.seed, "recovery")
    for _ in Training(network, task, epochs, subject.rate(steps), seed):
        pass
    return _fidelity(network, task)


def _with_few_labels(task: Task) -> Task:
    """The task with one hundredth of its batches, always the same, in a random order."""
    batches = task.loader(torch.Generator().manual_seed(0))
    kept = list(itertools.islice(batches, max(1, round(len(batches) / 100))))

    def loader(generator: torch.Generator) -> list[tuple[Any, Any]]:
        return [kept[index] for index in torch.randperm(len(kept), generator=generator).tolist()]

    return dataclasses.replace(task, loader=loader)


def _fidelity(network: nn.Module, task: Task) -> dict[str, float]:
    return {split: task.fidelity(network, split) for split in ("validation", "test")}
