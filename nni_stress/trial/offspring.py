"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from ..hparams import Arguments
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.messages import one_line
from .adding import add, resuming
from .compression import compress
from .errors import InputError
from .founding import make_founder
from .making import Making
from .maturing import make_matured
from .norms import estimate_norms
from .progress import Observer, Progress, epochs_of, following
from .recorders import recorded
from .snapshots import snapshots_of
from .task import Task
from .timing import Stopwatch


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
    >>> import torch
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
    made, validation = resuming(
        snapshots, lambda saved: Making(task, spec, lineage, watch, snapshots, saved).make()
    )
    return add(spec, made, validation, task, lineage, watch, snapshots)
