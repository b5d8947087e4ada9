"""The trial's side of the generation barrier: it takes an offspring, and ends when it must."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import threading
from dataclasses import replace
from enum import Enum
from typing import Any

from ..lineage.store import Lineage
from ..lineage.trial_spec import Delivery, TrialSpec
from ..nni_compat.frameworks import import_compression
from ..nni_runtime.serializer import plain_messages
from ..utils.atomic_files import read_json, refuse_code

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_LONGEST = 1e8  # seconds, three years: timers take no numbers that are much higher


class ParameterSource(str, Enum):
    """Where NNI has a trial's parameters from.

    Examples
    --------
    >>> ParameterSource("customized") is ParameterSource.USER
    True
    """

    TUNER = "algorithm"
    USER = "customized"
    RESUMED = "resumed"


def receive() -> tuple[TrialSpec, Lineage]:
    """Take an offspring of the generation under way, and skip parameters that are out of date.

    Returns
    -------
    (spec, lineage)
        The offspring to be made, and the lineage it belongs to.

    Raises
    ------
    SystemExit
        If this process was started for an offspring that another one has taken, without NNI, or
        where the lineage's folder cannot be seen.
    """
    import nni
    import nni.trial

    begin()
    while True:
        message = nni.get_next_parameter()
        source = nni.trial._params["parameter_source"]  # noqa: SLF001, NNI does not tell otherwise
        spec = parse(message, source)
        lineage = None if spec is None else accept(spec, nni.get_trial_id())
        if spec is not None and lineage is not None:
            _end_after_time_limit(spec, lineage)
            return spec, lineage
        # Parameters of an earlier generation may be in the queue before our own. In all other cases
        # nothing else waits for this process: it was restarted by NNI or added by the user, or
        # another job has taken the offspring.
        if spec is None or source != ParameterSource.TUNER or not is_outdated(spec):
            raise SystemExit(0)


def begin() -> None:
    """Prepare this process as a trial of NNI's.

    It will end with the process that started it, and take plain data only. NNI's compression is
    imported without the frameworks that no trial needs, which saves seconds.

    Raises
    ------
    SystemExit
        If NNI did not start this process.
    """
    import nni.trial

    _die_with_parent()
    if nni.trial.trial_env_vars.NNI_PLATFORM is None:
        raise SystemExit(
            "this is a trial: NNI runs it. Start the evolution by "
            "`nnictl create --config stress.yml`, or try this script alone with --check"
        )
    os.umask(0o077)  # a worker on another machine has the umask of its user
    plain_messages()
    import_compression()


def parse(message: Any, source: str) -> TrialSpec | None:
    """Parse parameters as NNI hands them out.

    Parameters
    ----------
    message
        The parameters.
    source
        Where NNI has them from, a `ParameterSource`.

    Returns
    -------
    TrialSpec or None
        None if no tuner of ours sent them.

    Raises
    ------
    ValueError
        If they hold keys by which NNI would run code, or a tuner's message is malformed.

    Examples
    --------
    >>> parse({"learning_rate": 0.1}, ParameterSource.USER) is None
    True
    """
    refuse_code(message)
    if not isinstance(message, dict) or "lineage" not in message or source == ParameterSource.USER:
        return None
    return TrialSpec.from_message(message)


def accept(spec: TrialSpec, job: str) -> Lineage | None:
    """Take an offspring, if it is to be made now and no other job has taken it.

    Parameters
    ----------
    spec
        As a tuner sent it.
    job
        NNI's id of this trial job.

    Returns
    -------
    Lineage or None
        The lineage the offspring belongs to, if it was taken.

    Raises
    ------
    SystemExit
        If the lineage's folder cannot be seen from here, the lineage is another experiment's, or
        its tuner has planned the offspring otherwise.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> lineage.update_state(incarnation=0, generation=1)
    >>> spec = TrialSpec("g001-00", 1, "g000-00", None, 0, {})
    >>> spec = spec.addressed(Delivery(0, "0.0", str(lineage.folder)))
    >>> accept(spec, job="first") is not None, accept(spec, job="second") is not None
    (True, False)
    """
    delivery = _delivery_of(spec)
    lineage = Lineage(delivery.lineage)
    if not lineage.folder.is_dir():
        raise SystemExit(
            f"the lineage's folder {lineage.folder} is not there: "
            "it must be the same on every machine"
        )
    _check_owner(lineage)
    is_made = lineage.sound(spec.uid) is not None or lineage.failure(spec.uid) is not None
    if is_outdated(spec) or is_made:
        return None
    _check_planned(spec, lineage)
    return lineage if lineage.claim(spec.uid, delivery.attempt, job) else None


def _check_owner(lineage: Lineage) -> None:
    """Look at the lineage of this trial's own experiment only, whatever a message names.

    Nothing is written where another folder is named: not even a damaged file is set aside.
    """
    experiment = os.environ.get("NNI_EXP_ID")
    if experiment is None:
        return
    owner = None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        owner = read_json(lineage.folder / "state.json").get("experiment")
    if owner != experiment:
        raise SystemExit(
            f"the lineage {lineage.folder} must be that of experiment {experiment}, "
            f"but it is that of {owner}"
        )


def _check_planned(spec: TrialSpec, lineage: Lineage) -> None:
    """Make only what the tuner planned, whatever a message names."""
    planned = lineage.planned_generation(spec.generation)
    if planned is not None and replace(spec, delivery=None) not in planned.offspring:
        raise SystemExit(
            f"the message for {spec.uid} must be as the tuner planned it, in "
            f"{lineage.generation_path(spec.generation)}, but it is another"
        )


def is_outdated(spec: TrialSpec) -> bool:
    """Whether another generation is under way by now, or another tuner.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> lineage.update_state(incarnation=0, generation=2)
    >>> spec = TrialSpec("g001-00", 1, "g000-00", None, 0, {})
    >>> is_outdated(spec.addressed(Delivery(0, "0.0", str(lineage.folder))))
    True
    """
    delivery = _delivery_of(spec)
    state = Lineage(delivery.lineage).read_state() or {}
    return delivery.incarnation != state.get("incarnation") or spec.generation != state.get(
        "generation"
    )


def _delivery_of(spec: TrialSpec) -> Delivery:
    if spec.delivery is None:
        raise ValueError(f"the spec of {spec.uid} must come from a tuner, but was not sent by one")
    return spec.delivery


def _end_after_time_limit(spec: TrialSpec, lineage: Lineage) -> None:
    """End this process when its time is up, also if it hangs outside of Python."""
    seconds = _delivery_of(spec).time_limit
    if seconds is None or seconds > _LONGEST:
        return

    def end() -> None:
        lineage.add_failure(spec.uid, f"took longer than the time limit of {seconds:g} s")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + 5, exit=True)


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent, as after kill -9 of NNI's manager."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
