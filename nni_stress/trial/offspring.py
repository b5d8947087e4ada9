"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import nni
import torch
from torch import nn

from ..graph import serialization
from ..hparams import Arguments
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.atomic_files import write_json
from ..utils.messages import one_line
from ..utils.module_copies import copy_of
from ..utils.seeding import seed_of
from ..utils.temporaries import remove_leftovers
from .compression import compress
from .contract import network_of
from .errors import InputError, fatal
from .fields import wrong_names
from .inheritance import load_parents
from .making import Making, Synthesized
from .maturation import Maturation
from .measurement import Size, Validation, make_record, measure_size
from .norms import estimate_norms
from .progress import Observer, Progress, epochs_of, following
from .recorders import recorded
from .snapshots import Snapshot, SnapshotError, Snapshots, restoring, snapshots_of
from .task import Task
from .timing import Stopwatch
from .training import Training, founder_training

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def stress_and_synthesize(
    ancestor: nn.Module, task: Task, arguments: Arguments, seed: int, resource: str = "parameters"
) -> nn.Module:
    """Train the ancestor under stress, draw the offspring's clusters, and build the small network.

    Parameters
    ----------
    ancestor
        Trained in place, and pruned.
    task
        Its data and loss.
    arguments
        Hyperparameters.
    seed
        Of all random choices.
    resource
        The environmental factor is a share of this resource of the ancestor: "parameters", "macs"
        or "latency".

    Returns
    -------
    torch.nn.Module
        The offspring, not yet recovered, with statistics of batch norms of its own.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1, bias=False)),
    ...     example_input=inputs, loader=lambda generator: [(inputs, targets)],
    ...     loss=nn.functional.mse_loss, fidelity=lambda network, split: 0.0,
    ...     founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> arguments = Arguments(environmental_factor=0.5, stress_epochs=5)
    >>> stress_and_synthesize(task.network(), task, arguments, seed=0)[0]
    Linear(in_features=4, out_features=4, bias=False)
    """
    budget = {resource: arguments.environmental_factor}
    pruner = compress(ancestor, task, arguments, seed, budget)
    network = pruner.synthesize(task.example_input)
    estimate_norms(network, task, seed)
    return network


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
    return _add(spec, made, validation, task, lineage, watch, snapshots)


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

    return _resuming(snapshots, train)


def _resuming(snapshots: Snapshots, make: Callable[[Snapshot | None], _T]) -> _T:
    """Call a function with the snapshot there is; if it does not fit, again without."""
    saved = snapshots.read()
    if saved is not None:
        try:
            return make(saved)
        except SnapshotError as error:
            snapshots.refuse(error)
    return make(None)


def make(
    task: Task,
    spec: TrialSpec,
    lineage: Lineage,
    founder: str | Path | None,
    observers: Sequence[Observer] = (),
    since: float | None = None,
) -> Record:
    """Make what a spec names: the founder, an offspring, or a maturation.

    Its progress is in the lineage's folder while it goes on, and its scalars for TensorBoard are
    where this is installed.

    Parameters
    ----------
    task, spec, lineage
        As for `make_founder`, `make_offspring` and `make_matured`.
    founder
        The founder's file; None: it is trained.
    observers
        Each is told of every training step.
    since
        When the trial began, in seconds since the epoch of Unix; None: with this process.
    """
    watch = Stopwatch(since)
    epochs = epochs_of(spec, task.founder_epochs)
    with recorded(lineage, spec.uid) as recorders:
        progress = Progress(spec.uid, epochs, [*recorders, *observers])
        with following(progress):
            if spec.uid == FOUNDER:
                return make_founder(task, spec, lineage, founder, watch)
            make_child = make_matured if spec.maturation else make_offspring
            return make_child(task, spec, lineage, watch)


def note_loss(lineage: Lineage, uid: str, error: Exception) -> None:
    """Note in the lineage why an offspring was lost.

    Parameters
    ----------
    lineage
        The lineage.
    uid
        Name of the offspring.
    error
        What its making ended with. After an `InputError` the snapshot stays: once what is wrong has
        been put right, the training may go on.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> note_loss(lineage, "g001-00", FloatingPointError("the training loss became nan"))
    >>> lineage.failure("g001-00")["fatal"]
    False
    """
    wrong_input = isinstance(error, InputError)
    lineage.add_failure(uid, one_line(error), fatal=wrong_input)
    if not wrong_input:
        lineage.snapshot_path(uid).unlink(missing_ok=True)


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


def make_offspring(
    task: Task, spec: TrialSpec, lineage: Lineage, watch: Stopwatch | None = None
) -> Record:
    """Make one offspring, from the files of its ancestors to its own record.

    If an earlier process was killed while it trained the offspring, its training is resumed from
    the last snapshot.

    Parameters
    ----------
    task
        What is evolved.
    spec
        What the trial is told.
    lineage
        Holds the ancestors; the offspring is added to it.
    watch
        Measures the trial, which began with this process by default.

    Raises
    ------
    InputError
        If an ancestor cannot be read.
    FloatingPointError
        If the loss or a fidelity is not finite.
    ValueError, TypeError
        If a hyperparameter is wrong.
    """
    watch = watch or Stopwatch()
    task = watch.evaluating(task)
    snapshots = snapshots_of(spec, task, lineage, watch)
    made, validation = _resuming(
        snapshots, lambda saved: Making(task, spec, lineage, watch, snapshots, saved).make()
    )
    return _add(spec, made, validation, task, lineage, watch, snapshots)


def make_matured(
    task: Task, spec: TrialSpec, lineage: Lineage, watch: Stopwatch | None = None
) -> Record:
    """Make a network's maturation: the same architecture, trained on for long.

    Its training resumes from the last snapshot, as that of an offspring.

    Parameters
    ----------
    task
        What is evolved.
    spec
        What the trial is told; its `recovery_epochs` are the length.
    lineage
        Holds the network; the matured one is added to it.
    watch
        Measures the trial, which began with this process by default.

    Raises
    ------
    InputError
        If the network cannot be read.
    FloatingPointError
        If the loss or a fidelity is not finite.
    """
    watch = watch or Stopwatch()
    task = watch.evaluating(task)
    snapshots = snapshots_of(spec, task, lineage, watch)
    made, validation = _resuming(
        snapshots, lambda saved: _mature(task, spec, lineage, watch, snapshots, saved)
    )
    return _add(spec, made, validation, task, lineage, watch, snapshots)


def _mature(
    task: Task,
    spec: TrialSpec,
    lineage: Lineage,
    watch: Stopwatch,
    snapshots: Snapshots,
    saved: Snapshot | None,
) -> tuple[Synthesized, Validation]:
    """Train the network on, from the beginning or from a snapshot."""
    arguments = spec.hyperparameters()
    with fatal():
        [(network, _)] = load_parents(task, spec, lineage)
        made = Synthesized(network, None, _recorded_size(spec, lineage))
    seed = seed_of(spec.seed, spec.uid)
    training = Training(network, task, arguments.recovery_epochs, arguments.learning_rate, seed)
    maturation = Maturation(network, task, training)
    if saved is not None:
        with restoring():
            maturation.restore(saved.state)
        watch.resume(saved.seconds)
    with watch("maturation"):
        return made, maturation.run(lambda: snapshots.write("maturation", maturation.state))


def _recorded_size(spec: TrialSpec, lineage: Lineage) -> Size:
    """What the ancestor costs, latency as it was measured then: the architecture stays."""
    record = lineage.record(str(spec.ancestor))
    if record is None:
        raise FileNotFoundError(f"{lineage.folder} holds no record of {spec.ancestor}")
    return Size(
        record.synapses,
        record.macs,
        record.efficiency,
        record.architecture,
        record.latency,
        record.clusters,
    )


def _add(
    spec: TrialSpec,
    made: Synthesized,
    validation: Validation,
    task: Task,
    lineage: Lineage,
    watch: Stopwatch,
    snapshots: Snapshots,
) -> Record:
    """Judge an offspring on the test data, and add it with its record to the lineage."""
    test = task.fidelity(made.network, "test")

    def save(path: Path) -> None:
        serialization.save(made.network, path)
        if made.origins is not None:
            write_json(path.with_name("origins.json"), made.origins)

    record = make_record(spec, made.size, validation, test, watch.seconds(), made.judged)
    record = lineage.add(record, save)
    snapshots.remove()
    _log.info(
        "%s: fidelity %.4f, %s synapses, %.1fx fewer than the founder",
        record.uid,
        record.validation,
        f"{record.synapses:,}",
        record.efficiency,
    )
    return record
