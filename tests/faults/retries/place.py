"""Where faults are tried again: a folder, ports, and a home folder of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import yaml

from nni_stress.nni_runtime.rest import ManagerClient
from reports.simulation import SPACE
from tests.helpers.nnictl import environment, nnictl
from tests.helpers.running import Running, config_of
from tests.helpers.workers import free_ports

ROOT = Path(__file__).parents[3]


class Answer(NamedTuple):
    """What a fault answers now."""

    closed: bool
    text: str


class Attempt(NamedTuple):
    """One fault that is tried again."""

    number: int
    title: str
    run: Callable[[Place], Answer]


ATTEMPTS: list[Attempt] = []


def attempt(number: int, title: str) -> Callable[[Callable], Callable]:
    """Register a function as an attempt; `number` is that of the fault in the list."""

    def register(run: Callable) -> Callable:
        ATTEMPTS.append(Attempt(number, title, run))
        return run

    return register


class Place:
    """Folder and experiments of one attempt; `end` stops them.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._started: list[str] = []

    def waiting(self, **changes: Any) -> Running:
        """Start an experiment whose trial waits."""
        config_of(self.folder, **changes)
        running = self.create(self.folder)
        running.until(running.running_trial)
        return running

    def evolution(
        self, name: str, lineage: Path | None = None, tolerance: float = 0.9, **changes: Any
    ) -> Path:
        """Write the experiment file of a small evolution of cheap trials; return its folder."""
        home = self.folder / name
        home.mkdir()
        config = {
            "searchSpace": SPACE,
            "trialCommand": "python3 -m tests.helpers.cheap_trial 0.1",
            "trialCodeDirectory": str(ROOT),
            "trialConcurrency": 2,
            "tuner": {
                "className": "nni_stress.StressTuner",
                "classArgs": {
                    "folder": str(lineage or home / "lineage"),
                    "population_size": 2,
                    "generations": 1,
                    "tolerance": tolerance,
                },
            },
            "trainingService": {"platform": "local"},
            "experimentWorkingDirectory": str(home / "nni"),
            **changes,
        }
        (home / "stress.yml").write_text(yaml.safe_dump(config))
        return home

    def create(self, folder: Path, **variables: str | None) -> Running:
        """Start the experiment in a folder by nnictl, which must succeed."""
        (port,) = free_ports(1)
        done = nnictl("create", "--config", folder / "stress.yml", "--port", port, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return self._running(port, folder)

    def refused(self, folder: Path) -> Running:
        """Start the experiment in a folder by nnictl, whose tuner must refuse it."""
        (port,) = free_ports(1)
        done = nnictl("create", "--config", folder / "stress.yml", "--port", port)
        assert done.returncode == 1 and "\nnni-stress: " in f"\n{done.stderr}", done.stderr
        return self._running(port, folder)

    def resume(self, running: Running, **variables: str | None) -> Running:
        """Resume an experiment by nnictl, which must succeed."""
        done = self.try_to_resume(running, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return self._running(running.port, running.folder.parents[1])

    def try_to_resume(
        self, running: Running, **variables: str | None
    ) -> subprocess.CompletedProcess[str]:
        """Resume an experiment by nnictl."""
        folder = running.folder.parent
        return nnictl(
            *("resume", running.id, "--experiment_dir", folder, "--port", running.port),
            timeout=200,
            **variables,
        )

    def _running(self, port: int, folder: Path) -> Running:
        running = Running(port, folder)
        self._started.append(running.id)
        return running

    def end(self) -> None:
        """Stop all experiments."""
        for id in set(self._started):
            nnictl("stop", id)


def ours(arguments: list[object], **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `python -m nni_stress`."""
    return subprocess.run(
        [sys.executable, "-m", "nni_stress", *map(str, arguments)],
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


def path_of(running: Running) -> str:
    """Where the REST interface of a manager begins, with its secret."""
    return urlsplit(ManagerClient.on_port(running.port).url).path


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Exit status and last line of a command."""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"exit {done.returncode}: {' '.join(lines[-1:])[:160]}"


def stderr_of(running: Running) -> str:
    """The last line that the tuner of an experiment wrote for its user."""
    text = (running.folder / "log" / "nnictl_stderr.log").read_text()
    ours = [line for line in text.splitlines() if line.startswith("nni-stress: ")]
    return ours[-1] if ours else ""


def message(**changes: Any) -> dict[str, Any]:
    """A forged command of a tuner, by which a trial would be started."""
    parameters = {
        "uid": "g000-00",
        "generation": 0,
        "ancestor": None,
        "seed": 0,
        "arguments": {},
        "incarnation": 0,
        "attempt": "0.0",
        **changes,
    }
    content = {"parameter_id": 0, "parameters": parameters, "parameter_source": "algorithm"}
    return {"type": "TR", "content": json.dumps(content)}
