"""Makes generation 0: the founder, read from its file or trained."""

from __future__ import annotations

from pathlib import Path

import nni
import torch
from torch import nn

from ..graph import serialization
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.module_copies import copy_of
from ..utils.seeding import seed_of
from ..utils.temporaries import remove_leftovers
from .adding import add, resuming
from .contract import network_of
from .errors import InputError, fatal
from .fields import wrong_names
from .making import Synthesized
from .measurement import Validation, measure_size
from .snapshots import Snapshot, Snapshots, restoring, snapshots_of
from .task import Task
from .timing import Stopwatch
from .training import founder_training


def make_founder(
    task: Task,
    spec: TrialSpec,
    lineage: Lineage,
    file: str | Path | None,
    watch: Stopwatch | None = None,
) -> Record:
    """Make generation 0: the founder, read from its file or trained.

    Parameters
    ----------
    task
        What is to be evolved.
    spec
        What the trial is told.
    lineage
        The founder is added to it.
    file
        The founder's file, which is written if it does not exist. None: the founder is trained.
    watch
        Measures the trial, which began with this process by default.

    Raises
    ------
    InputError
        If the file is not a network of this task, or nothing of the network can be removed.
    FloatingPointError
        If the loss or a fidelity is not finite.
    """
    watch = watch or Stopwatch()
    seed = seed_of(spec.seed, FOUNDER)
    task = watch.evaluating(task)
    snapshots = snapshots_of(spec, task, lineage, watch)
    torch.manual_seed(seed)
    if file is not None and Path(file).exists():
        with fatal():
            network = serialization.load(file, task.network)
        check_removable(network, task)
    else:
        network = _trained_founder(task, seed, watch, snapshots)
        if file is not None:
            remove_leftovers(Path(file).parent, Path(file).name)
            serialization.save(network, file)
    origins = None
    if spec.origins:
        from ..graph import crossover  # takes seconds, which other trials of a founder save

        origins = crossover.founding(network, task.example_input)
    size = measure_size(network, task, lineage, spec.latency)
    validation = Validation(task.fidelity(network, "validation"))
    made = Synthesized(network, origins, size)
    return add(spec, made, validation, task, lineage, watch, snapshots)


def check_removable(network: nn.Module, task: Task) -> None:
    """Check, before a founder is trained, that offspring can be made of it.

    Parameters
    ----------
    network
        The founder, trained or not; it is left alone, as is torch's generator.
    task
        Its clusters are those that may be removed.

    Raises
    ------
    InputError
        If nothing can be removed, with every layer and why it stays; if the network cannot be
        followed; or if the clusters name a layer or type of layers that there is not.
    """
    from ..pruning.pruner import StressPruner

    for fault in wrong_names(task.clusters, network):
        raise InputError(fault)
    with fatal(), torch.random.fork_rng(devices=[]):
        StressPruner(
            copy_of(network),
            [task.clusters],
            budget={"parameters": 1.0},
            example_input=task.example_input,
        )


def _trained_founder(task: Task, seed: int, watch: Stopwatch, snapshots: Snapshots) -> nn.Module:
    """The founder, whose training resumes from a snapshot if there is one."""

    def train(saved: Snapshot | None) -> nn.Module:
        torch.manual_seed(seed)
        network = network_of(task)
        if saved is None:
            check_removable(network, task)
        with watch("training"):
            _train_founder(network, task, seed, watch, snapshots, saved)
        return network

    return resuming(snapshots, train)


def _train_founder(
    network: nn.Module,
    task: Task,
    seed: int,
    watch: Stopwatch,
    snapshots: Snapshots,
    saved: Snapshot | None,
) -> None:
    training = founder_training(network, task, seed)
    if saved is not None:
        with restoring():
            training.restore(saved.state["training"])
        watch.resume(saved.seconds)
    for _ in training:
        if training.between_epochs:
            nni.report_intermediate_result(task.fidelity(network, "validation"))
        if training.resumable:
            snapshots.write("founder", lambda: {"training": training.state()})
