"""NNI's manager, as the tuner it runs sees it. Without a manager (in tests, in a shell) there are no jobs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

OUR_LINE = "nni-stress: "  # how a line of ours begins among NNI's
_ALIVE = ("UNKNOWN", "WAITING", "RUNNING")


def in_dispatcher() -> bool:
    """Whether this is the process in which NNI's manager runs a tuner."""
    return os.environ.get("SDK_PROCESS") == "dispatcher"


def say(reason: Any) -> None:
    """Put a line where it can be found: NNI's manager shows "Dispatcher stream error" for every error of a tuner."""
    print(
        f"{OUR_LINE}{reason}", file=sys.stderr, flush=True
    )  # ends in the experiment's log/nnictl_stderr.log


def refuse(error: Exception) -> None:
    """End the start of a tuner: NNI's manager is told why, and goes to ERROR. Elsewhere the error itself is raised."""
    if not in_dispatcher():
        raise error
    from nni.runtime.tuner_command_channel import CommandType, TunerCommandChannel

    say(error)
    channel = TunerCommandChannel(os.environ["NNI_TUNER_COMMAND_CHANNEL"])
    channel.connect()
    channel._send(CommandType.Error, str(error))
    time.sleep(1)  # let it arrive before the connection closes
    raise SystemExit(1)


def die_with_manager() -> None:
    """Kill -9 of the manager leaves its tuner alive, to meddle with a manager resumed on the same port."""
    import psutil

    shell = psutil.Process(os.getppid())  # the manager runs the tuner through a shell
    manager = shell.ppid()
    while shell.is_running() and shell.ppid() == manager and psutil.pid_exists(manager):
        time.sleep(0.5)
    os._exit(1)


class Job(NamedTuple):
    """A trial job of NNI's. It was submitted with these parameters, and may run others."""

    id: str
    status: str
    parameters: Any

    @property
    def alive(self) -> bool:
        return self.status in _ALIVE


class Manager:
    """The manager's REST interface, on this machine. Every method may raise an OSError: it does not answer."""

    def __init__(self):
        channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
        self._api = (
            channel and channel.replace("ws:", "http:", 1).rsplit("/tuner", 1)[0] + "/api/v1/nni"
        )

    def _ask(self, method: str, path: str, **arguments):
        import requests

        answer = requests.request(method, f"{self._api}/{path}", timeout=20, **arguments)
        answer.raise_for_status()
        return answer

    def jobs(self) -> list[Job]:
        """All trial jobs."""
        listed = self._ask("GET", "trial-jobs").json() if self._api else []
        return [Job(job["trialJobId"], job["status"], _submitted(job)) for job in listed]

    def job(self, id: str) -> Job | None:
        """One trial job; None where NNI has none of that id."""
        import requests

        try:
            found = self._ask("GET", f"trial-jobs/{id}").json() if self._api and id else None
        except (
            requests.HTTPError
        ):  # the manager knows no other answer, whether there is no such job or it is in trouble
            return next((job for job in self.jobs() if job.id == id), None)
        return found and Job(found["trialJobId"], found["status"], _submitted(found))

    def cancelled_by_user(self, id: str) -> bool:
        """Whether the user ended a job. Its status does not say: a job that a signal ended is USER_CANCELED, too."""
        database = (
            Path(os.environ.get("NNI_LOG_DIRECTORY", "/nonexistent")).parent / "db" / "nni.sqlite"
        )
        query = (
            "select count(*) from TrialJobEvent where trialJobId = ? and event = 'USER_TO_CANCEL'"
        )
        try:
            with contextlib.closing(
                sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)
            ) as events:
                return events.execute(query, (id,)).fetchone()[0] > 0
        except sqlite3.Error:
            return False

    def stopping(self) -> bool:
        """Whether the experiment is being stopped: it then cancels its trials, which says nothing about them."""
        return bool(self._api) and self._ask("GET", "check-status").json()["status"] in (
            "STOPPING",
            "STOPPED",
        )

    def cancel(self, id: str) -> None:
        """End a trial job."""
        if self._api:
            self._ask("DELETE", f"trial-jobs/{id}")

    def end_experiment(self) -> None:
        """Make the manager stop at the trials it has: NNI knows no other way for a tuner to end an experiment well."""
        if self._api:
            self._ask(
                "PUT",
                "experiment",
                params={"update_type": "MAX_TRIAL_NUM"},
                json={"params": {"maxTrialNumber": len(self.jobs())}},
            )

    def last_words(self, job: str | None) -> str | None:
        """The last line on stderr of a trial job; of the last that ended, where it is not known which."""
        import requests

        if not self._api:
            return None
        job = job or next((job.id for job in reversed(self.jobs()) if not job.alive), None)
        try:
            lines = self._ask("GET", f"trial-file/{job}/stderr").text.strip().splitlines()
        except requests.HTTPError:  # it has none
            return None
        return (
            f"{lines[-1]} (stderr of trial {job})"
            if lines and lines != ["stderr is empty."]
            else None
        )  # NNI's words


def _submitted(job: dict) -> Any:
    try:
        return json.loads(job["hyperParameters"][0])["parameters"]
    except (KeyError, IndexError, TypeError, ValueError):
        return None
