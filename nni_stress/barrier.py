"""The generation barrier: all that NNI's runtime makes hard lives here.

NNI keeps its parameters in one queue, from which whichever trial asks first takes the head; it names the wrong trial
when one ends, asks for parameters it never asks for again, and leaves processes behind when its manager is killed
(microsoft/nni issues 5693, 5726). So: offspring carry a name of our own, the lineage on disk is the truth about what
became of them, requests are kept as credits, and ends of trials are counted, not matched.
"""
from __future__ import annotations

import base64
import ctypes
import fcntl
import functools
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

from .lineage import Lineage, check_uid

_log = logging.getLogger(__name__)

OUR_LINE = "nni-stress: "  # how a line of ours begins among NNI's


def refuse_code(data: Any) -> None:
    """Raise a ValueError where plain data holds a key like ``__symbol__``: by such keys NNI's serializer runs code."""
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(key, str) and key.startswith("__"):
                raise ValueError(f"plain data expected, but got the key {key!r}, by which NNI runs code")
            refuse_code(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            refuse_code(value)


# The tuner's side

def in_dispatcher() -> bool:
    """Whether this is the process in which NNI's manager runs a tuner."""
    return os.environ.get("SDK_PROCESS") == "dispatcher"


def experiment_search_space() -> Any:
    """The search space the manager was started with, or None; NNI shows it to a tuner only after its start."""
    if not in_dispatcher() or "--exp_params" not in sys.argv:
        return None
    encoded = sys.argv[sys.argv.index("--exp_params") + 1]
    return json.loads(base64.b64decode(encoded)).get("searchSpace")


def refuse(error: Exception) -> None:
    """End the start of a tuner: NNI's manager is told why, and goes to ERROR. Elsewhere the error itself is raised."""
    if not in_dispatcher():
        raise error
    from nni.runtime.tuner_command_channel import CommandType, TunerCommandChannel

    _say(error)
    channel = TunerCommandChannel(os.environ["NNI_TUNER_COMMAND_CHANNEL"])
    channel.connect()
    channel._send(CommandType.Error, str(error))
    time.sleep(1)  # let it arrive before the connection closes
    raise SystemExit(1)


def _say(reason: Any) -> None:
    """Put the reason where it can be found: NNI's manager shows "Dispatcher stream error" for every error of a tuner."""
    print(f"{OUR_LINE}{reason}", file=sys.stderr, flush=True)  # ends in the experiment's log/nnictl_stderr.log


def guarded(method):
    """Run a callback of NNI's under the barrier's lock; an error ends the experiment in ERROR with its reason.

    NNI would leave an experiment RUNNING for ever, without a word, after an exception in a callback.
    """
    @functools.wraps(method)
    def guard(self, *args, **kwargs):
        with self.barrier.lock:
            self.barrier.connect(kwargs.get("st_callback"))
            try:
                if self.barrier.error is None:
                    return method(self, *args, **kwargs)
            except Exception as error:
                _log.exception("the tuner failed")
                self.barrier.fail(str(error) or type(error).__name__)
            return []
    return guard


class Barrier:
    """Hands a generation's offspring to NNI's manager and calls back once every one of them has ended.

    Parameters
    ----------
    lineage
        Where trials put their results.
    next_generation
        Called with no arguments when a generation has ended; returns the parameters of the next one's offspring
        (each with its ``uid`` and ``generation``), or the reason why the evolution ends.
    retries
        How often an offspring is sent again whose process died before it had taken its parameters.
    """

    def __init__(self, lineage: Lineage, next_generation: Callable[[], list[dict] | str], retries: int = 2):
        self.lock, self.error = threading.RLock(), None
        self._lineage, self._next, self._retries = lineage, next_generation, retries
        self._send = None  # st_callback, the only way out that NNI does not confuse
        self._credits: list[int] = []
        self._todo: list[dict] = []
        self._under_way: dict[str, dict] = {}
        self._sent = self._ended = self._tries = 0
        self._started = self._done = False
        state = lineage.read_state() or {}
        self._incarnation = state.get("incarnation", -1) + 1
        if in_dispatcher():
            lineage.folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = open(lineage.folder / "tuner.lock", "w")
            fcntl.flock(self._lock_file, fcntl.LOCK_EX)  # an older tuner may still live for a moment
            threading.Thread(target=_die_with_manager, daemon=True).start()

    def connect(self, send: Callable[[int, Any], None] | None) -> None:
        """Remember NNI's way out, once it is known; an error from before it was known is reported now."""
        if send is not None:
            first, self._send = self._send is None, send
            if first and self.error is not None:
                self.fail(self.error)

    def request(self, ids: list[int]) -> None:
        """The manager asks for parameters. NNI forgets a request that is not met at once, so it becomes a credit."""
        self._credits += ids
        self._step()

    def ended(self, parameter_id: int | None) -> None:
        """A trial has ended. Which one, NNI does not know; trials added in the web page have no id."""
        if parameter_id is not None:
            self._ended += 1
            self._step()

    def fail(self, reason: str) -> None:
        """End the experiment in ERROR with this reason."""
        self.error, self._done = reason, True
        if self._send is not None:
            _say(reason)
            self._send.__self__.report_error(reason)

    def _step(self) -> None:
        if self._done:
            return
        if not self._started:
            self._started = True
            self._open(self._next())
        self._stop_on_fatal_failure()
        while not self._done and not self._todo and self._ended >= self._sent:
            self._close()
        while not self._done and self._todo and self._credits:
            parameters, credit = self._todo.pop(0), self._credits.pop(0)
            self._sent += 1
            self._send(credit, parameters)

    def _open(self, parameters: list[dict] | str) -> None:
        if isinstance(parameters, str):
            return self._finish(parameters)
        state = self._lineage.read_state() or {}
        self._under_way = {p["uid"]: p for p in parameters}
        self._lineage.write_state({**state, "incarnation": self._incarnation, "generation": parameters[0]["generation"]})
        self._tries = 0
        self._queue([uid for uid in self._under_way if not self._settled(uid)])

    def _queue(self, uids: list[str]) -> None:
        attempt = f"{self._incarnation}.{self._tries}"
        folder = str(self._lineage.folder.resolve())
        self._todo = [{**self._under_way[uid], "incarnation": self._incarnation, "attempt": attempt, "lineage": folder}
                      for uid in uids]

    def _settled(self, uid: str) -> bool:
        return self._lineage.record(uid) is not None or self._lineage.failure(uid) is not None

    def _close(self) -> None:
        """All trials of the generation have ended: send again what no process took, note what was lost, go on."""
        open_uids = [uid for uid in self._under_way if not self._settled(uid)]
        attempt = f"{self._incarnation}.{self._tries}"
        untaken = [uid for uid in open_uids if not self._lineage.claimed(uid, attempt)]
        if untaken and self._tries < self._retries:
            self._tries += 1
            return self._queue(untaken)
        for uid in open_uids:
            taken = uid not in untaken
            self._lineage.add_failure(uid, _last_words(self._lineage.claimant(uid, attempt) if taken else None, taken))
        self._stop_on_fatal_failure()
        if not self._done:
            self._open(self._next())

    def _stop_on_fatal_failure(self) -> None:
        for uid in self._under_way:
            failure = self._lineage.failure(uid)
            if failure and failure["fatal"]:
                return self.fail(failure["reason"])

    def _finish(self, reason: str) -> None:
        self._done = True
        self._lineage.write_state({**(self._lineage.read_state() or {}), "finished": reason})
        _log.info("the evolution ends: %s", reason)
        _end_experiment()


def _last_words(job: str | None, taken: bool) -> str:
    """Why a process that left no word of its own ended: the last line of its stderr, where there is one."""
    trials = Path(os.environ.get("NNI_LOG_DIRECTORY", "/nonexistent")).parent / "environments" / "local-env" / "trials"
    files = ([trials / job / "trial.stderr"] if job
             else sorted(trials.glob("*/trial.stderr"), key=lambda path: path.stat().st_mtime)[-1:])
    for file in files:
        lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
        if lines:
            return f"its process ended: {lines[-1]} (see {file})"
    return "its process was killed" if taken else "its process ended before it asked for its parameters"


def _end_experiment() -> None:
    """Make the manager stop at the trials it has: NNI knows no other way for a tuner to end an experiment well."""
    import requests

    channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
    if channel is None:
        return
    api = channel.replace("ws:", "http:", 1).rsplit("/tuner", 1)[0] + "/api/v1/nni"
    jobs = len(requests.get(f"{api}/trial-jobs", timeout=20).json())
    requests.put(f"{api}/experiment", params={"update_type": "MAX_TRIAL_NUM"},
                 json={"params": {"maxTrialNumber": jobs}}, timeout=20).raise_for_status()


def _die_with_manager() -> None:
    """kill -9 of the manager leaves its tuner alive, to meddle with a manager resumed on the same port."""
    import psutil

    shell = psutil.Process(os.getppid())  # the manager runs the tuner through a shell
    manager = shell.ppid()
    while shell.is_running() and shell.ppid() == manager and psutil.pid_exists(manager):
        time.sleep(0.5)
    os._exit(1)


# The trial's side

def receive() -> tuple[dict, Lineage]:
    """Take an offspring of the generation under way; stale and foreign parameters are put aside.

    Returns
    -------
    (parameters, lineage)
        As the tuner sent them, and the lineage they belong to.

    Raises
    ------
    SystemExit
        If this process was started for an offspring that another has taken, or without NNI.
    """
    import nni
    import nni.trial

    _die_with_parent()
    if nni.trial.trial_env_vars.NNI_PLATFORM is None:
        raise SystemExit("this is a trial: NNI runs it. Start the evolution by `nnictl create --config stress.yml`")
    while True:
        parameters = nni.get_next_parameter()
        refuse_code(parameters)
        source = nni.trial._params["parameter_source"]
        if isinstance(parameters, dict) and "lineage" in parameters and source != "customized":
            lineage = Lineage(parameters["lineage"])
            state = lineage.read_state() or {}
            current = all(parameters[key] == state.get(key) for key in ("incarnation", "generation"))
            uid = check_uid(parameters["uid"])
            if current and lineage.record(uid) is None and lineage.claim(uid, parameters["attempt"], nni.get_trial_id()):
                return parameters, lineage
        if source != "algorithm":  # a job that NNI restarted, or the user added: nothing waits for it in the queue
            raise SystemExit(0)


def _die_with_parent() -> None:
    """Ask Linux to end this process with its parent: kill -9 of the manager would leave it running."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    except (OSError, AttributeError):
        pass
