"""Makes a network's maturation, with which an evolution ends."""

from __future__ import annotations

from ..lineage.record import Record
from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.seeding import seed_of
from .adding import add, resuming
from .errors import fatal
from .inheritance import load_parents
from .making import Synthesized
from .maturation import Maturation
from .measurement import Size, Validation
from .snapshots import Snapshot, Snapshots, restoring, snapshots_of
from .task import Task
from .timing import Stopwatch
from .training import Training


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
    made, validation = resuming(
        snapshots, lambda saved: _mature(task, spec, lineage, watch, snapshots, saved)
    )
    return add(spec, made, validation, task, lineage, watch, snapshots)


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
