"""Runs an experiment file by the real nnictl, with the manager on 127.0.0.1, and follows it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ..exceptions import LaunchError
from ..nni_runtime import loopback, orphans
from ..nni_runtime.manager import OUR_LINE
from ..nni_runtime.rest import ManagerClient
from .tuner_start import failure_of_workers, last_reason

_NNICTL = (  # nnictl with this package's hooks, even where it is not registered
    "import sys, nni_stress; from nni.tools.nnictl.nnictl import parse_args; sys.exit(parse_args())"
)
_MISSED_ANSWERS = 30  # of the manager, in a row, one a second, until it counts as gone


class Experiment:
    """A running experiment.

    Parameters
    ----------
    id
        NNI's id of the experiment.
    port
        Port of its manager on 127.0.0.1.
    folder
        NNI's folder of the experiment.

    Attributes
    ----------
    client
        Client of the manager's REST interface.

    Examples
    --------
    >>> Experiment("abcdefgh", 1, Path("nni/abcdefgh")).client.url
    'http://127.0.0.1:1/api/v1/nni'
    """

    def __init__(self, id: str, port: int, folder: Path) -> None:
        self.id = id
        self.port = port
        self.folder = folder
        self.client = ManagerClient.on_port(port, timeout=30)

    @property
    def page(self) -> str:
        """URL of the manager's web page, while it runs."""
        return self.client.url.removesuffix("api/v1/nni")

    def status(self) -> tuple[str, list[str]]:
        """Return NNI's status (RUNNING, DONE, ERROR, ...) and its errors."""
        return self.client.status()

    def follow(self, each_second: Callable[[], None]) -> None:
        """Wait until the experiment is DONE or STOPPED.

        Parameters
        ----------
        each_second
            Called once a second, and at the end.

        Raises
        ------
        LaunchError
            If the experiment goes to ERROR, or its manager does not answer any more.
        """
        missed = 0
        while True:
            each_second()
            try:
                status, errors = self.status()
            except (OSError, ValueError):
                missed += 1
                self._check_alive(missed)
            else:
                missed = 0
                if status == "ERROR":
                    reason = self.reason() or "; ".join(errors)
                    raise LaunchError(reason or "the experiment ended in ERROR")
                if status in ("DONE", "STOPPED"):
                    each_second()
                    return
            time.sleep(1)

    def _check_alive(self, missed: int) -> None:
        """Raise a LaunchError if the manager has given up, or has missed too many answers."""
        reason = failure_of_workers(self.folder / "log")
        if reason:
            raise LaunchError(reason) from None
        if missed >= _MISSED_ANSWERS:
            gone = f"NNI's manager does not answer on port {self.port} any more"
            raise LaunchError(self.reason() or gone) from None

    def reason(self) -> str | None:
        """Return the reason for which the tuner ended the experiment in ERROR, in one line.

        None if the tuner gave no reason.
        """
        return last_reason(self.folder / "log")

    def stop(self) -> None:
        """Stop the manager and all that it started.

        nnictl does not always succeed at the first attempt, so there are three.
        """
        for _ in range(3):
            _nnictl("stop", self.id)
            for _ in range(40):
                if not self._answers():
                    return
                time.sleep(0.5)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def start(config: dict[str, Any], folder: Path, port: int) -> Experiment:
    """Start an experiment by `nnictl create`. It ends with this process, at the latest.

    Parameters
    ----------
    config
        The configuration, as :func:`nni_stress.experiment.config_file.read` returns it.
    folder
        Folder for the experiment file and, in ``nni``, for NNI's files.
    port
        Port of 127.0.0.1 on which the manager will listen.

    Raises
    ------
    LaunchError
        If the port is in use, or nnictl refuses the experiment.
    """
    loopback.check_port(port)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "experiment.yml"
    nni_folder = folder.resolve() / "nni"
    file.write_text(yaml.safe_dump({**config, "experimentWorkingDirectory": str(nni_folder)}))
    with loopback.on_loopback():  # also for other tuners, which the hooks leave as they are
        output = _start("create", "--config", str(file), "--port", str(port))
    found = re.search(r"Experiment ID: (?:\x1b\[\d+m)?(\w+)", output.stdout + output.stderr)
    if output.returncode or not found:
        raise LaunchError(_reason_of_refusal(output))
    return Experiment(found.group(1), port, nni_folder / found.group(1))


def resume(experiment: Experiment, port: int) -> Experiment:
    """Resume a stopped experiment by `nnictl resume`.

    Raises
    ------
    LaunchError
        If nnictl refuses.
    """
    folder = str(experiment.folder.parent)
    output = _start("resume", experiment.id, "--port", str(port), "--experiment_dir", folder)
    if output.returncode or "Experiment ID" not in output.stdout + output.stderr:
        raise LaunchError(_reason_of_refusal(output))
    return Experiment(experiment.id, port, experiment.folder)


def _reason_of_refusal(output: subprocess.CompletedProcess[str]) -> str:
    """Return the reason from nnictl's output: the hooks' line if there is one, else the last."""
    last = " ".join(output.stderr.strip().splitlines()[-1:])
    for prefix in ("error: ", OUR_LINE):
        if last.startswith(prefix):
            return last.removeprefix(prefix)
    return f"nnictl refused the experiment: {last or 'no reason'}"


def _start(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run nnictl so that the manager that it starts ends with this process, at the latest."""
    return _nnictl(*arguments, **orphans.ending_with_this_process())


def _nnictl(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-c", _NNICTL, *arguments],
        env={**os.environ, "PATH": path, **variables},
        capture_output=True,
        text=True,
    )
