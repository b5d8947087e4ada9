"""NNI's manager as seen by the tuner that it runs.

Without a manager (in tests, in a shell) there are no trial jobs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from ..lineage import nni_database
from ..utils.messages import one_line, place_in
from .rest import ManagerClient

OUR_LINE = "nni-stress: "  # prefix of the lines that this package writes into NNI's logs
_MOST = 500  # characters of a trial's last words
_ALIVE = ("UNKNOWN", "WAITING", "RUNNING")


def in_dispatcher() -> bool:
    """Tell whether this is the process in which NNI's manager runs a tuner.

    Examples
    --------
    >>> in_dispatcher()
    False
    """
    return os.environ.get("SDK_PROCESS") == "dispatcher"


def experiment_id() -> str | None:
    """NNI's id of the experiment that this tuner's process belongs to; None outside of NNI.

    Examples
    --------
    >>> os.environ["NNI_CHECKPOINT_DIRECTORY"] = "/home/user/nni-experiments/ab12cd34/checkpoint"
    >>> experiment_id()
    'ab12cd34'
    >>> del os.environ["NNI_CHECKPOINT_DIRECTORY"]
    >>> experiment_id() is None
    True
    """
    folder = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
    return None if folder is None else Path(folder).parent.name


def experiment_name() -> str | None:
    """The name that the user gave the experiment of this tuner's process; None if it has none.

    Examples
    --------
    >>> experiment_name() is None  # outside of NNI
    True
    """
    folder = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
    if folder is None:
        return None
    try:
        with nni_database.open_read_only(Path(folder).parent) as database:
            name = nni_database.experiment_config(database).get("experimentName")
    except (OSError, ValueError):
        return None
    return name if isinstance(name, str) else None


def say(reason: Any) -> None:
    """Write a line to stderr, which ends up in the experiment's ``log/nnictl_stderr.log``.

    NNI's manager itself shows "Dispatcher stream error" for every error of a tuner.
    """
    print(f"{OUR_LINE}{reason}", file=sys.stderr, flush=True)


def refuse(error: Exception) -> None:
    """End a tuner that cannot start: tell NNI's manager why, so that the experiment goes to ERROR.

    Raises
    ------
    Exception
        The error itself, where no manager runs this process.

    Examples
    --------
    >>> refuse(ValueError("generations must be at least 1"))  # no manager runs this process
    Traceback (most recent call last):
        ...
    ValueError: generations must be at least 1
    """
    if not in_dispatcher():
        raise error
    from nni.runtime.tuner_command_channel import CommandType, TunerCommandChannel

    reason = one_line(error)
    say(reason)
    channel = TunerCommandChannel(os.environ["NNI_TUNER_COMMAND_CHANNEL"])
    channel.connect()
    channel._send(CommandType.Error, reason)  # noqa: SLF001, NNI has no public method for it
    time.sleep(1)  # the message must arrive before the connection closes
    raise SystemExit(1)


def die_with_manager() -> None:
    """Wait until NNI's manager has ended, then end this process.

    ``kill -9`` of the manager leaves its tuner alive, and the tuner would interfere with a manager
    that is resumed on the same port.
    """
    import psutil

    shell = psutil.Process(os.getppid())  # the manager runs the tuner through a shell
    manager = shell.ppid()
    while shell.is_running() and shell.ppid() == manager and psutil.pid_exists(manager):
        time.sleep(0.5)
    os._exit(1)


class Job(NamedTuple):
    """A trial job of NNI.

    Attributes
    ----------
    id
        NNI's id of the job.
    status
        NNI's status of it, as RUNNING or SUCCEEDED.
    parameters
        The parameters it was submitted with; it may run others, because the first job that asks
        gets the first parameters.

    Examples
    --------
    >>> Job("abcde", "WAITING", None).alive
    True
    """

    id: str
    status: str
    parameters: Any

    @property
    def alive(self) -> bool:
        """Whether the job has not ended yet."""
        return self.status in _ALIVE


class Manager:
    """The manager that runs this process as its tuner.

    Every method may raise an OSError, if the manager does not answer.

    Examples
    --------
    >>> Manager().jobs()  # no manager runs this process
    []
    """

    def __init__(self) -> None:
        self._client = ManagerClient.of_tuner()
        self._limit: int | None = None  # of trials, by which the experiment was ended

    def jobs(self) -> list[Job]:
        """Return all trial jobs."""
        if self._client is None:
            return []
        return [_parse_job(job) for job in self._client.trial_jobs()]

    def job(self, id: str) -> Job | None:
        """Return one trial job; None if NNI has no job of that id."""
        if self._client is None or not id:
            return None
        found = self._client.trial_job(id)
        if found is None:  # there is no such job, or the manager is in trouble: the list tells
            return next((job for job in self.jobs() if job.id == id), None)
        return _parse_job(found)

    def cancelled_by_user(self, id: str) -> bool:
        """Tell whether the user ended a job.

        The job's status does not tell: NNI also calls a job that a signal ended USER_CANCELED.
        """
        logs = os.environ.get("NNI_LOG_DIRECTORY")
        if logs is None:
            return False
        try:
            with nni_database.open_read_only(Path(logs).parent) as database:
                return nni_database.was_cancelled_by_user(database, id)
        except OSError:
            return False

    def stopping(self) -> bool:
        """Tell whether the experiment is being stopped.

        The manager then cancels its trials, which says nothing about them.
        """
        return self._client is not None and self._client.status()[0] in ("STOPPING", "STOPPED")

    def reason_of_end(self) -> str | None:
        """Return why NNI itself has ended the experiment, in one line; None if it has not."""
        status, errors = ("", []) if self._client is None else self._client.status()
        if status == "ERROR":
            return f"NNI ended the experiment: {' '.join('; '.join(errors).split())}"
        if status == "DONE":
            return (
                "NNI ended the experiment before the evolution had ended, because maxTrialNumber "
                "or maxExperimentDuration is too small: raise it by `nnictl update trialnum` or "
                "`nnictl update duration`, then `nnictl stop` and `nnictl resume`"
            )
        return None

    def cancel(self, id: str) -> None:
        """Cancel a trial job."""
        if self._client is not None:
            self._client.cancel(id)

    def end_experiment(self) -> None:
        """Limit the number of trials to those there are, so that the experiment ends as DONE.

        NNI has no other way for a tuner to end an experiment without an error.
        """
        if self._client is not None:
            self._limit = len(self.jobs())
            self._client.set_max_trial_number(self._limit)

    def runs_again(self) -> bool:
        """Tell whether the user has raised the number of trials after `end_experiment`."""
        if self._client is None or self._client.status()[0] != "RUNNING":
            return False
        limit: int | None = self._client.experiment()["params"].get("maxTrialNumber")
        return limit != self._limit

    def last_words(self, job: str | None) -> str | None:
        """Return the last line that a trial job wrote to stderr, or None.

        If that is the end of a traceback, the place in the user's code is added.

        Parameters
        ----------
        job
            NNI's id of the job; None: the last job that has ended.
        """
        if self._client is None:
            return None
        job = job or next((job.id for job in reversed(self.jobs()) if not job.alive), None)
        text = None if job is None else self._client.trial_file(job, "stderr")
        lines = (text or "").strip().splitlines()
        if not lines or lines == ["stderr is empty."]:  # NNI's text for an empty file
            return None
        place = place_in(text or "") if lines[-2:-1] and lines[-2][:1].isspace() else None
        last = lines[-1] if len(lines[-1]) <= _MOST else f"{lines[-1][:_MOST]}..."
        return f"{last} ({place + '; ' if place else ''}stderr of trial {job})"


def _parse_job(described: dict[str, Any]) -> Job:
    """Parse NNI's description of a trial job."""
    try:
        parameters = json.loads(described["hyperParameters"][0])["parameters"]
    except (KeyError, IndexError, TypeError, ValueError):
        parameters = None
    return Job(described["trialJobId"], described["status"], parameters)
