"""Snapshots of the training of one offspring, from which a trial goes on that was killed.

A snapshot is taken between two epochs, and replaces the one before. It holds tensors and plain
data: reading it runs no code.
"""

from __future__ import annotations

import json
import logging
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.atomic_files import atomically
from ..utils.batches import arguments_of
from ..utils.messages import one_line
from ..utils.regular_files import open_regular
from .task import Task
from .timing import Stopwatch

_log = logging.getLogger(__name__)

FORMAT = 2  # of the content, to be counted up when it changes
EVERY = 30.0  # least seconds between two snapshots of a trial
SHARE = 0.01  # largest share of the time that snapshots may take
# What a spec says about the training; the rest says when it may end, and which process runs it.
_IDENTITY = ("uid", "ancestor", "other", "seed", "arguments", "resource", "latency", "origins")
_DAMAGE = (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.PickleError)


class SnapshotError(ValueError):
    """A snapshot does not fit the training that should resume from it.

    Examples
    --------
    >>> raise SnapshotError("the state is of another network")
    Traceback (most recent call last):
        ...
    nni_stress.trial.snapshots.SnapshotError: the state is of another network
    """


@contextmanager
def restoring() -> Iterator[None]:
    """Turn errors of the block, which restores a state, into a `SnapshotError`.

    Raises
    ------
    SnapshotError
        If the block raised an error, of whatever type: states are of the user's code, too.

    Examples
    --------
    >>> try:
    ...     with restoring():
    ...         {}["optimizer"]
    ... except SnapshotError as error:
    ...     print(error)
    KeyError: 'optimizer'
    """
    try:
        yield
    except Exception as error:
        raise SnapshotError(one_line(error)) from error


class Snapshot(NamedTuple):
    """What was read.

    Attributes
    ----------
    phase
        "founder", "stress", "recovery" or "maturation".
    state
        State of the phase.
    seconds
        Seconds of each phase of the trial until then, of which a `Stopwatch` starts.

    Examples
    --------
    >>> Snapshot("stress", {}, {"stress": 1.5}).phase
    'stress'
    """

    phase: str
    state: Mapping[str, Any]
    seconds: Mapping[str, float]


class Snapshots:
    """Writes and reads the snapshots of one offspring.

    Parameters
    ----------
    path
        The file.
    recipe
        Plain data that identifies the training: one with another recipe is not resumed.
    watch
        Measures the trial.

    Examples
    --------
    >>> import tempfile
    >>> snapshots = Snapshots(Path(tempfile.mkdtemp()) / "snapshot", {"seed": 1}, Stopwatch())
    >>> snapshots.write("recovery", lambda: {"step": 7})  # too soon: nothing is written
    >>> snapshots.read() is None
    True
    """

    def __init__(self, path: Path, recipe: Mapping[str, Any], watch: Stopwatch):
        self._path = path
        self._recipe = dict(recipe)
        self._watch = watch
        self._next = time.monotonic() + EVERY  # when the next snapshot is due

    def read(self) -> Snapshot | None:
        """The snapshot of an earlier process; None, with a warning, if it is of no use."""
        if not self._path.exists():
            return None
        try:
            with open_regular(self._path) as file:
                content = torch.load(file, weights_only=True)
            recipe, snapshot = content["recipe"], Snapshot(*(content[f] for f in Snapshot._fields))
        except _DAMAGE as error:
            self._ignore(f"is damaged: {one_line(error)[:200]}")
            return None
        if recipe != self._recipe:
            self._ignore("is of another training")
            return None
        _log.warning("the %s resumes from its last epoch on record", snapshot.phase)
        return snapshot

    def refuse(self, error: SnapshotError) -> None:
        """Warn that what was read does not fit, so that the training begins again."""
        self._ignore(f"does not fit: {one_line(error)}")
        self._watch.resume({})

    def _ignore(self, fault: str) -> None:
        _log.warning("%s %s; the offspring is made from the beginning", self._path, fault)

    def write(self, phase: str, state: Callable[[], Mapping[str, Any]]) -> None:
        """Replace the snapshot, if it is due.

        A snapshot that cannot be written, for instance to a full disk, costs a warning only.

        Parameters
        ----------
        phase
            "founder", "stress", "recovery" or "maturation".
        state
            Returns the state of the phase.
        """
        if time.monotonic() < self._next:
            return
        began = time.monotonic()
        seconds = self._watch.seconds()
        with self._watch("overhead"):
            try:
                content = Snapshot(phase, state(), seconds)._asdict()
                with atomically(self._path) as file:
                    torch.save({"recipe": self._recipe, **content}, file)
            except Exception as error:  # the user's optimizer or network may have no state
                _log.warning("no snapshot of the training: %s", one_line(error))
        ended = time.monotonic()
        self._next = ended + max(EVERY, (ended - began) / SHARE)

    def remove(self) -> None:
        """Remove the snapshot, as the offspring is done."""
        self._path.unlink(missing_ok=True)


def snapshots_of(spec: TrialSpec, task: Task, lineage: Lineage, watch: Stopwatch) -> Snapshots:
    """The snapshots of an offspring.

    Parameters
    ----------
    spec
        What the trial is told.
    task
        What is evolved.
    lineage
        Holds the ancestors and the snapshots.
    watch
        Measures the trial.

    Examples
    --------
    >>> import tempfile
    >>> from types import SimpleNamespace
    >>> task = SimpleNamespace(autocast=None, example_input=torch.rand(1, 2))  # in place of a Task
    >>> spec = TrialSpec("g000-00", 0, None, None, 0, {})
    >>> snapshots_of(spec, task, Lineage(tempfile.mkdtemp()), Stopwatch()).read() is None
    True
    """
    first = arguments_of(task.example_input)[0]
    recipe = {
        "spec": json.dumps([spec.to_message().get(name) for name in _IDENTITY]),
        "constrained": dict(spec.constrained),
        "ancestors": [record and record.digest for record in map(lineage.record, spec.ancestors)],
        "type": str(task.autocast),
        "device": first.device.type,
        "versions": [FORMAT, str(torch.__version__)],
    }
    return Snapshots(lineage.snapshot_path(spec.uid), recipe, watch)
