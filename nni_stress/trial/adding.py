"""What every trial ends with: a judgement and a record; and how an interrupted one begins."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..graph import serialization
from ..lineage.record import Record
from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.atomic_files import write_json
from .making import Synthesized
from .measurement import Validation, make_record
from .snapshots import Snapshot, SnapshotError, Snapshots
from .task import Task
from .timing import Stopwatch

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


def resuming(snapshots: Snapshots, make: Callable[[Snapshot | None], _T]) -> _T:
    """Call a function with the snapshot there is; if it does not fit, again without.

    Parameters
    ----------
    snapshots
        Those of the trial.
    make
        Trains, from a snapshot or None.
    """
    saved = snapshots.read()
    if saved is not None:
        try:
            return make(saved)
        except SnapshotError as error:
            snapshots.refuse(error)
    return make(None)


def add(
    spec: TrialSpec,
    made: Synthesized,
    validation: Validation,
    task: Task,
    lineage: Lineage,
    watch: Stopwatch,
    snapshots: Snapshots,
) -> Record:
    """Judge a network on the test data, and add it with its record to the lineage.

    Parameters
    ----------
    spec
        What the trial is told.
    made
        The network, its size, and where its clusters come from.
    validation
        Its fidelity on validation data.
    task, lineage, watch, snapshots
        Those of the trial. The snapshot is no longer needed.
    """
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
