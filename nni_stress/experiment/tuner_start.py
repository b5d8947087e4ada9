"""Waits until the tuner of an experiment that was just started is ready, or tells why it is not.

NNI starts an experiment without waiting for its tuner, and nnictl returns as if all was well.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path
from typing import Any

from ..exceptions import StartError
from ..nni_runtime.manager import OUR_LINE
from ..nni_runtime.rest import ManagerClient

_LOOK = 0.1  # seconds between two looks
_GONE = 3.0  # seconds without a tuner's process until it counts as ended
_LIMIT = 120.0  # seconds; the manager itself gives up after 90, see patience.js


def wait(experiment: Any, logs: Path) -> None:
    """Wait until an experiment's tuner is ready.

    Parameters
    ----------
    experiment
        NNI's object of an experiment whose manager runs.
    logs
        NNI's folder of its logs. The reason of a failure is appended to ``nnictl_stderr.log``.

    Raises
    ------
    StartError
        If the tuner refuses to start, ends, or takes too long. The manager has ended then.
    """
    manager = _Manager(experiment)
    deadline, seen = time.monotonic() + _LIMIT, time.monotonic()
    while True:
        ready, errors = manager.ask()
        if ready and not errors:
            return
        now = time.monotonic()
        seen = now if manager.has_tuner() else seen
        if errors or not manager.lives() or now - seen > _GONE or now > deadline:
            break
        time.sleep(_LOOK)
    # A tuner that loses its manager may say so: that is a consequence, not the reason.
    of_workers = None if manager.lives() else failure_of_workers(logs)
    reason = of_workers or last_reason(logs) or _explained(manager, errors, now > deadline, logs)
    manager.end()
    if last_reason(logs) is None:
        with contextlib.suppress(OSError), open(logs / "nnictl_stderr.log", "a") as file:
            file.write(f"{OUR_LINE}{reason}\n")
    raise StartError(f"experiment {experiment.id} ended: {reason}")


def last_reason(logs: Path) -> str | None:
    """Return the last line by which this package told NNI's logs why an experiment ended.

    Parameters
    ----------
    logs
        NNI's folder of the experiment's logs.

    Returns
    -------
    str or None
        None if there is no such line since the experiment was last started.

    Examples
    --------
    >>> last_reason(Path("/no/such/folder")) is None
    True
    """
    lines = [line.strip() for line in _lines_of_last_start(logs)]
    ours = [line for line in lines if line.startswith(OUR_LINE)]
    return ours[-1].removeprefix(OUR_LINE) if ours else None


def failure_of_workers(logs: Path) -> str | None:
    """Return why a manager could not set up its workers, usually one that it cannot reach.

    Parameters
    ----------
    logs
        NNI's folder of the experiment's logs.

    Returns
    -------
    str or None
        None if the log of the manager does not say so.

    Examples
    --------
    >>> failure_of_workers(Path("/no/such/folder")) is None
    True
    """
    with contextlib.suppress(OSError):
        log = (logs / "nnimanager.log").read_text(errors="replace")
        found = re.search(r"initialize failed: (?:\w*Error: )?(.*)", log)
        return found and f"NNI could not set up its workers: {found[1]}"
    return None


def _lines_of_last_start(logs: Path) -> list[str]:
    """Return what was written to stderr since nnictl last began a section of its log."""
    try:
        text = (logs / "nnictl_stderr.log").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition("-" * 80 + "\n")[2].splitlines()


def _explained(manager: _Manager, errors: list[str], late: bool, logs: Path) -> str:
    """Say why a tuner is not ready that has not said so itself."""
    if late:
        what = f"the tuner was not ready after {_LIMIT:g} s"
    elif errors:
        what = f"the tuner did not start: {errors[-1]}"
    elif manager.lives():
        what = "the tuner's process ended before it was ready"
    else:
        what = "NNI's manager ended before the tuner was ready"
    last = next((line for line in reversed(_lines_of_last_start(logs)) if line.strip()), None)
    if last is None:
        return what
    return " ".join(f"{what}; the last line of {logs / 'nnictl_stderr.log'} is: {last}".split())


class _Manager:
    """The process of a manager, its tuner, and its REST interface."""

    def __init__(self, experiment: Any) -> None:
        import psutil

        url = f"http://127.0.0.1:{experiment.port}/{experiment.url_prefix}/api/v1/nni"
        self._client = ManagerClient(url)
        self._process = experiment._proc  # noqa: SLF001, NNI has no public name for it
        self._psutil = psutil

    def ask(self) -> tuple[bool, list[str]]:
        """Return whether the tuner is ready, and the errors that ended the experiment."""
        try:
            ready = self._client.tuner_is_ready()
            status, errors = self._client.status()
        except (OSError, ValueError):
            return False, []
        return ready, (errors or ["ERROR"]) if status == "ERROR" else []

    def lives(self) -> bool:
        return self._process.poll() is None

    def has_tuner(self) -> bool:
        """Tell whether the manager has a child; trials come only after the tuner."""
        with contextlib.suppress(self._psutil.Error):
            children = self._psutil.Process(self._process.pid).children()
            return any(child.status() != self._psutil.STATUS_ZOMBIE for child in children)
        return False

    def end(self) -> None:
        """End the manager and all that it started."""
        children = []
        with contextlib.suppress(self._psutil.Error):
            children = self._psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        with contextlib.suppress(Exception):
            self._process.wait(10)
        if self.lives():
            self._process.kill()
            self._process.wait()
        for child in children:
            with contextlib.suppress(self._psutil.Error):
                child.kill()
