"""The trial's side of the generation barrier: taking an offspring, and not outliving what it was taken for."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..lineage.store import Lineage, check_uid
from ..nni_runtime.serializer import plain_messages
from ..utils.atomic_files import refuse_code


def receive() -> tuple[dict, Lineage]:
    """Take an offspring of the generation under way; stale and foreign parameters are put aside.

    Returns
    -------
    (parameters, lineage)
        As the tuner sent them, and the lineage they belong to.

    Raises
    ------
    SystemExit
        If this process was started for an offspring that another has taken, without NNI, or where the lineage's folder is
        not to be seen.
    """
    import nni
    import nni.trial

    begin()
    while True:
        parameters, source = nni.get_next_parameter(), nni.trial._params["parameter_source"]
        lineage = accept(parameters, source, nni.get_trial_id())
        if lineage is not None:
            _keep_to(parameters["time_limit"], parameters["uid"], lineage)
            return parameters, lineage
        # A job that NNI restarted or the user added, or an offspring that another job has: nothing else may wait for us. But
        # what is left in the queue of an earlier generation stands before our own.
        if source != "algorithm" or not _outdated(parameters):
            raise SystemExit(0)


def begin() -> None:
    """Be a trial of NNI's: end with it, take plain data only, and import NNI's compression without what no trial needs.

    A SystemExit where NNI did not start this process.
    """
    import nni.trial

    _die_with_parent()
    if nni.trial.trial_env_vars.NNI_PLATFORM is None:
        raise SystemExit(
            "this is a trial: NNI runs it. Start the evolution by `nnictl create --config stress.yml`"
        )
    plain_messages()
    with _without_frameworks():
        import nni.compression


@contextmanager
def _without_frameworks() -> Iterator[None]:
    """Hide frameworks that NNI makes evaluators for, where this process has not imported them: they take seconds."""
    hidden = [
        name
        for name in ("pytorch_lightning", "transformers", "deepspeed")
        if name not in sys.modules
    ]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def accept(parameters: Any, source: str, job: str) -> Lineage | None:
    """Take the offspring that these parameters name, if it is to be made now and no other job has taken it.

    Parameters
    ----------
    parameters
        As NNI hands them out.
    source
        Where NNI has them from: "algorithm", "customized" (the user), "resumed".
    job
        NNI's id of this trial job.

    Returns
    -------
    Lineage or None
        The lineage the offspring belongs to, if it was taken.
    """
    refuse_code(parameters)
    if not isinstance(parameters, dict) or "lineage" not in parameters or source == "customized":
        return None
    lineage = Lineage(parameters["lineage"])
    if not lineage.folder.is_dir():
        raise SystemExit(
            f"the lineage's folder {lineage.folder} is not there: it must be the same on every machine"
        )
    uid = check_uid(parameters["uid"])
    if _outdated(parameters) or lineage.sound(uid) is not None or lineage.failure(uid) is not None:
        return None
    return lineage if lineage.claim(uid, parameters["attempt"], job) else None


def _outdated(parameters: dict) -> bool:
    """Whether the generation under way is another one, or another tuner's."""
    state = Lineage(parameters["lineage"]).read_state() or {}
    return any(parameters[key] != state.get(key) for key in ("incarnation", "generation"))


def _keep_to(seconds: float | None, uid: str, lineage: Lineage) -> None:
    """End this process when its time is up, with a word; or without one, where it hangs outside of Python."""
    if seconds is None:
        return

    def end():
        lineage.add_failure(uid, f"took longer than the time limit of {seconds:g} s")
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + 5, exit=True)


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent: kill -9 of the manager would leave it running."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass
