"""Runs an experiment file through the real nnictl and manager, on 127.0.0.1, and follows it to its end."""
from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import requests
import yaml

from .files import refuse_code
from .manager import OUR_LINE
from .search_space import check_search_space
from .tuner_arguments import check_arguments

LOOPBACK = Path(__file__).with_name("loopback.js")


class LaunchError(Exception):
    """The experiment could not be started, or ended in ERROR; the message says why, in one line."""


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
                    raise LaunchError(f"NNI could not set up its workers: {self._unreachable()}") from None
                if missed == 30:
                    raise LaunchError(f"NNI's manager does not answer on port {self.port} any more") from None
            else:
                if status == "ERROR":
                    raise LaunchError(self.reason() or "; ".join(errors) or "the experiment ended in ERROR")
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
        """Stop the manager and all it started."""
        _nnictl("stop", self.id)


def _our_line(text: str) -> str | None:
    lines = [line.strip().removeprefix(OUR_LINE) for line in text.splitlines() if line.strip().startswith(OUR_LINE)]
    return lines[-1] if lines else None


def check_config(config_file: Path) -> dict:
    """Read an experiment file and check what can be checked before anything is started.

    Returns
    -------
    dict
        The config, with absolute paths and the search space in it.
    """
    if not config_file.is_file():
        raise LaunchError(f"no experiment file at {config_file}")
    try:
        config = yaml.safe_load(config_file.read_text(encoding="utf-8"))
        refuse_code(config)
        home = config_file.resolve().parent
        if "searchSpaceFile" in config:
            space_file = home / config.pop("searchSpaceFile")
            if not space_file.is_file():
                raise LaunchError(f"no search space file at {space_file}")
            config["searchSpace"] = yaml.safe_load(space_file.read_text(encoding="utf-8"))
        refuse_code(config.get("searchSpace"))
        check_search_space(config.get("searchSpace"))
        tuner = config.get("tuner") or {}
        if tuner.get("className") == "nni_stress.StressTuner":
            check_arguments(tuner.get("classArgs") or {})
        for section, key in ((config, "trialCodeDirectory"), (tuner, "codeDirectory")):
            section[key] = str((home / section.get(key, ".")).resolve())
        _check_workers(config, home)
    except yaml.YAMLError as error:
        raise LaunchError(f"{config_file} is not YAML: {' '.join(str(error).split())}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LaunchError(f"{config_file.name}: {error}") from None
    return config


def _check_workers(config: dict, home: Path) -> None:
    """Of an experiment on other machines: the lineage must be where all of them find it, and so must the keys here."""
    service, tuner = config.get("trainingService") or {}, config.get("tuner") or {}
    if not isinstance(service, dict) or service.get("platform") != "remote":
        return
    folder = (tuner.get("classArgs") or {}).get("folder")
    if tuner.get("className") == "nni_stress.StressTuner" and not (folder and Path(folder).is_absolute()):
        raise ValueError(f"folder must be an absolute path on storage that all workers share, but got {folder!r}")
    for machine in service.get("machineList") or []:
        if machine.get("sshKeyFile"):
            machine["sshKeyFile"] = str(home / Path(machine["sshKeyFile"]).expanduser())


def start(config: dict, folder: Path, port: int) -> Experiment:
    """Start an experiment by `nnictl create`, with NNI's own files under `folder`.

    Raises
    ------
    LaunchError
        If the port is in use, or nnictl refuses the experiment.
    """
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise LaunchError(f"port {port} is in use; name another")
    folder.mkdir(parents=True, exist_ok=True)
    file, nni_folder = folder / "experiment.yml", folder.resolve() / "nni"
    file.write_text(yaml.safe_dump({**config, "experimentWorkingDirectory": str(nni_folder)}))
    output = _nnictl("create", "--config", str(file), "--port", str(port))
    found = re.search(r"Experiment ID: (?:\x1b\[\d+m)?(\w+)", output.stdout + output.stderr)
    if output.returncode or not found:
        raise LaunchError(_why(output))
    return Experiment(found.group(1), port, nni_folder / found.group(1))


def resume(experiment: Experiment, port: int) -> Experiment:
    """Go on with a stopped experiment by `nnictl resume`. A LaunchError where nnictl refuses."""
    output = _nnictl("resume", experiment.id, "--port", str(port), "--experiment_dir", str(experiment.folder.parent))
    if output.returncode or "Experiment ID" not in output.stdout + output.stderr:
        raise LaunchError(_why(output))
    return Experiment(experiment.id, port, experiment.folder)


def _why(output: subprocess.CompletedProcess) -> str:
    """The reason in nnictl's output: our own line where there is one, else its last."""
    text = output.stdout + output.stderr
    return _our_line(text) or f"nnictl refused the experiment: {' '.join(text.strip().splitlines()[-1:]) or 'no reason'}"


def _nnictl(*arguments: str) -> subprocess.CompletedProcess:
    binaries = Path(sys.executable).parent
    options = f"{os.environ.get('NODE_OPTIONS', '')} --require {LOOPBACK}".strip()
    environment = {**os.environ, "NODE_OPTIONS": options, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([sys.executable, "-m", "nni.tools.nnictl.nnictl", *arguments], env=environment,
                          capture_output=True, text=True)
