"""NNI's manager, as the tuner it runs sees it. Without a manager (in tests, in a shell) there are no jobs."""
from __future__ import annotations

import base64
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

OUR_LINE = "nni-stress: "  # how a line of ours begins among NNI's
_ALIVE = ("UNKNOWN", "WAITING", "RUNNING")


def in_dispatcher() -> bool:
    """Whether this is the process in which NNI's manager runs a tuner."""
    return os.environ.get("SDK_PROCESS") == "dispatcher"


def experiment_search_space() -> Any:
    """The search space the manager was started with, or None; NNI shows it to a tuner only after its start."""
    if not in_dispatcher() or "--exp_params" not in sys.argv:
        return None
    encoded = sys.argv[sys.argv.index("--exp_params") + 1]
    return json.loads(base64.b64decode(encoded)).get("searchSpace")


def say(reason: Any) -> None:
    """Put a line where it can be found: NNI's manager shows "Dispatcher stream error" for every error of a tuner."""
    print(f"{OUR_LINE}{reason}", file=sys.stderr, flush=True)  # ends in the experiment's log/nnictl_stderr.log


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
    """kill -9 of the manager leaves its tuner alive, to meddle with a manager resumed on the same port."""
    import psutil

    shell = psutil.Process(os.getppid())  # the manager runs the tuner through a shell
    manager = shell.ppid()
    while shell.is_running() and shell.ppid() == manager and psutil.pid_exists(manager):
        time.sleep(0.5)
    os._exit(1)


class Manager:
    """The manager's REST interface, on this machine."""

    def __init__(self):
        channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
        self._api = channel and channel.replace("ws:", "http:", 1).rsplit("/tuner", 1)[0] + "/api/v1/nni"

    def _get(self, path: str):
        import requests

        answer = requests.get(f"{self._api}/{path}", timeout=20)
        answer.raise_for_status()
        return answer

    def jobs(self) -> dict[str, str]:
        """Status of every trial job, by NNI's id of it. An OSError where the manager does not answer."""
        return {job["trialJobId"]: job["status"] for job in self._get("trial-jobs").json()} if self._api else {}

    def end_experiment(self) -> None:
        """Make the manager stop at the trials it has: NNI knows no other way for a tuner to end an experiment well."""
        import requests

        if self._api:
            requests.put(f"{self._api}/experiment", params={"update_type": "MAX_TRIAL_NUM"},
                         json={"params": {"maxTrialNumber": len(self.jobs())}}, timeout=20).raise_for_status()

    def last_words(self, job: str | None) -> str | None:
        """The last line on stderr of a trial job; of the last that wrote any, where it is not known which."""
        trials = Path(os.environ.get("NNI_LOG_DIRECTORY", "/nonexistent")).parent / "environments" / "local-env" / "trials"
        files = ([trials / job / "trial.stderr"] if job
                 else sorted(trials.glob("*/trial.stderr"), key=lambda path: path.stat().st_mtime)[-1:])
        for file in files:
            lines = file.read_text(errors="replace").strip().splitlines() if file.exists() else []
            if lines:
                return f"{lines[-1]} (see {file})"
        return None


def alive(status: str | None) -> bool:
    """Whether a job of this status may still do something."""
    return status in _ALIVE
