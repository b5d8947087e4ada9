"""Runs an experiment file through the real nnictl and manager, on 127.0.0.1, and follows it to its end."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests
import yaml

from ..exceptions import LaunchError
from ..nni_runtime import loopback
from ..nni_runtime.manager import OUR_LINE
from . import config_file as experiment_file


class Experiment:
    """A running experiment.

    Parameters
    ----------
    id
        NNI's id of it.
    port
        Port of its manager on 127.0.0.1.
    folder
        NNI's own folder of it.
    """

    def __init__(self, id: str, port: int, folder: Path):
        self.id, self.port, self.folder = id, port, folder

    def _get(self, path: str):
        return requests.get(f"http://127.0.0.1:{self.port}/api/v1/nni/{path}", timeout=30).json()

    def status(self) -> tuple[str, list[str]]:
        """NNI's status (RUNNING, DONE, ERROR, ...) and its errors."""
        answer = self._get("check-status")
        return answer["status"], answer.get("errors", [])

    def follow(self, each_second: Callable[[], None]) -> None:
        """Wait for DONE, calling back once a second. ERROR, or a manager that is gone, is a LaunchError."""
        missed = 0
        while True:
            each_second()
            try:
                status, errors = self.status()
                missed = 0
            except (requests.RequestException, ValueError):
                missed += 1
                if self._unreachable():
                    raise LaunchError(
                        f"NNI could not set up its workers: {self._unreachable()}"
                    ) from None
                if missed == 30:
                    raise LaunchError(
                        f"NNI's manager does not answer on port {self.port} any more"
                    ) from None
            else:
                if status == "ERROR":
                    raise LaunchError(
                        self.reason() or "; ".join(errors) or "the experiment ended in ERROR"
                    )
                if status in ("DONE", "STOPPED"):
                    return each_second()
            time.sleep(1)

    def reason(self) -> str | None:
        """Why the experiment is in ERROR, in one line of ours, if there is one."""
        log = self.folder / "log" / "nnictl_stderr.log"
        return _our_line(log.read_text(errors="replace")) if log.exists() else None

    def _unreachable(self) -> str | None:
        """Why NNI's manager gave up at its start; a worker that it cannot reach or use, as a rule."""
        log = self.folder / "log" / "nnimanager.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        found = re.search(r"initialize failed: (?:\w*Error: )?(.*)", text)
        return found and found.group(1)

    def stop(self) -> None:
        """Stop the manager and all it started. nnictl does not always get it done at the first time."""
        for _ in range(3):
            _nnictl("stop", self.id)
            for _ in range(40):
                if not self._answers():
                    return
                time.sleep(0.5)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _our_line(text: str) -> str | None:
    lines = [
        line.strip().removeprefix(OUR_LINE)
        for line in text.splitlines()
        if line.strip().startswith(OUR_LINE)
    ]
    return lines[-1] if lines else None


def check_config(config_file: Path) -> dict:
    """Read an experiment file and check what can be checked before anything is started.

    Returns
    -------
    dict
        The config as NNI's manager wants it: with absolute paths and the search space in it.
    """
    return experiment_file.read(config_file)


def start(config: dict, folder: Path, port: int) -> Experiment:
    """Start an experiment by `nnictl create`, with NNI's own files under `folder`.

    Raises
    ------
    LaunchError
        If the port is in use, or nnictl refuses the experiment.
    """
    loopback.check_port(port)
    folder.mkdir(parents=True, exist_ok=True)
    file, nni_folder = folder / "experiment.yml", folder.resolve() / "nni"
    file.write_text(yaml.safe_dump({**config, "experimentWorkingDirectory": str(nni_folder)}))
    with loopback.on_loopback():  # whatever its tuner
        output = _nnictl("create", "--config", str(file), "--port", str(port))
    found = re.search(r"Experiment ID: (?:\x1b\[\d+m)?(\w+)", output.stdout + output.stderr)
    if output.returncode or not found:
        raise LaunchError(_why(output))
    return Experiment(found.group(1), port, nni_folder / found.group(1))


def resume(experiment: Experiment, port: int) -> Experiment:
    """Go on with a stopped experiment by `nnictl resume`. A LaunchError where nnictl refuses."""
    output = _nnictl(
        "resume",
        experiment.id,
        "--port",
        str(port),
        "--experiment_dir",
        str(experiment.folder.parent),
    )
    if output.returncode or "Experiment ID" not in output.stdout + output.stderr:
        raise LaunchError(_why(output))
    return Experiment(experiment.id, port, experiment.folder)


def _why(output: subprocess.CompletedProcess) -> str:
    """The reason in nnictl's output: our own line where there is one, else its last."""
    last = " ".join(output.stderr.strip().splitlines()[-1:])
    if last.startswith("error: "):
        return last.removeprefix("error: ")
    return f"nnictl refused the experiment: {last or 'no reason'}"


def _nnictl(*arguments: str) -> subprocess.CompletedProcess:
    """Run nnictl under our guards, whether or not this environment's own nnictl has them."""
    nnictl = "import sys, nni_stress; from nni.tools.nnictl.nnictl import parse_args; sys.exit(parse_args())"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    return subprocess.run(
        [sys.executable, "-c", nnictl, *arguments], env=environment, capture_output=True, text=True
    )
