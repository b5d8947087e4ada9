"""One experiment of the real nnictl with cheap trials, to which faults happen."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import psutil
import requests

from nni_stress.exceptions import LaunchError
from nni_stress.experiment import launch
from nni_stress.lineage.store import Lineage
from tests.faults import configuration
from tests.faults.processes import is_shell, kill_all, left_behind, processes_of, send
from tests.faults.properties import SETTINGS, Snapshot, check_end
from tests.faults.registry import NONE

PATIENCE = 240  # seconds without progress after which an experiment counts as hanging
RESUMES = 5  # how often an experiment is resumed at its end before it counts as broken
FAILURES = (AssertionError, LaunchError, requests.RequestException, OSError, ValueError)


class FaultyExperiment:
    """One experiment, whose faults happen one after the other.

    Parameters
    ----------
    folder
        Folder of the experiment; the lineage is in ``disk/lineage``, NNI's files are in ``nni``.
    seed
        Seed of the evolution and of its faults.
    port
        Port of NNI's manager.

    Attributes
    ----------
    config
        The experiment's configuration, which a fault may change before the start.
    settings
        Arguments of the tuner, the same.
    todo
        Folder of the faults that wait for a trial.
    """

    def __init__(self, folder: Path, seed: int, port: int):
        self.folder = folder
        self.port = port
        self.random = random.Random(seed)
        self.experiment: Any = None  # of launch, once it was started
        self.reasons: list[str] = []  # of each ERROR
        self.started = time.monotonic()
        self.seconds = 0.4  # that a trial takes
        self.script: str | None = None  # a shell that Python does not replace runs the trial
        self.settings: dict[str, Any] = {**SETTINGS, "seed": seed}
        self.config = configuration.base(seed)
        self.move_to(folder)

    def move_to(self, folder: Path) -> None:
        """Use another folder; before the start."""
        self.folder = folder
        self.todo = folder / "todo"
        self.lineage = Lineage(folder / "disk" / "lineage")
        self.snapshot = Snapshot(self.lineage)

    def start(self) -> None:
        """Start the experiment by nnictl, with a home folder of its own."""
        for each in (self.todo, self.folder / "disk", self.folder / "home"):
            each.mkdir(parents=True, exist_ok=True)
        if "HOME" in os.environ:  # the user's list of experiments stays as it is
            os.environ["HOME"] = str(self.folder / "home")
        os.environ["NNI_STRESS_FAULTS"] = str(self.todo)
        self.settings["folder"] = str(self.lineage.folder)
        script = None if self.script is None else self.folder / self.script
        self.config["trialCommand"] = configuration.trial_command(self.seconds, script)
        self.config["tuner"] = configuration.tuner(self.settings)
        self.experiment = launch.start(self.config, self.folder, self.port)

    # Course of the experiment

    def moment(self) -> float:
        """Seconds since the start."""
        return round(time.monotonic() - self.started, 1)

    def status(self) -> str:
        """NNI's status; GONE if the manager does not answer."""
        try:
            return self.experiment.status()[0]
        except (OSError, ValueError, KeyError):
            return "GONE"

    def failed(self) -> str | None:
        """Why the experiment ended in ERROR, as the lineage has it; None if it did not."""
        return (self.lineage.read_state() or {}).get("failed")

    def resume(self) -> None:
        """Stop what is left of the experiment, and resume it."""
        self.stop()
        self.experiment = launch.resume(self.experiment, self.port)

    def stop(self) -> None:
        """Stop the experiment, if it was started."""
        if self.experiment is not None:
            self.experiment.stop()

    def recover(self) -> None:
        """Resume the experiment if it ended in ERROR, which must have a reason, or is gone."""
        status = self.status()
        if status == "ERROR":
            reason = self.experiment.reason()  # else NNI's own, which may have several lines
            reason = reason or " ".join("; ".join(self.experiment.status()[1]).split())
            assert reason and "\n" not in reason, "an ERROR without its reason"
            assert len(reason) < 2000, f"a reason of {len(reason)} characters"
            self.reasons.append(reason)
        if status in ("ERROR", "GONE"):
            self.resume()

    def wait_a_moment(self, longest: float = 3.5) -> None:
        """Let the experiment go on for a moment, and recover from an ERROR."""
        time.sleep(self.random.uniform(0.2, longest))
        self.recover()

    def wait_for_end(self) -> None:
        """Wait until the experiment is DONE; resume it as often as it takes, within limits."""
        resumes = 0
        previous, since = None, time.monotonic()
        while (status := self.status()) != "DONE":
            progress = status, sorted(path.name for path in self.lineage.folder.glob("*/*"))
            if progress != previous:
                previous, since = progress, time.monotonic()
            assert time.monotonic() < since + PATIENCE, f"the experiment hangs, {status}"
            if status in ("ERROR", "GONE"):
                resumes += 1
                assert resumes < RESUMES, f"it does not recover from {self.reasons[-1:]}"
                time.sleep(1)
                self.recover()
            time.sleep(0.5)

    def check(self, same_records: bool) -> None:
        """Check that no record was lost, and the lineage is what it should be."""
        self.snapshot.check()
        check_end(self.lineage, self.settings, same_records)

    def end(self) -> None:
        """Stop everything; nothing may be left behind."""
        self.stop()
        left = left_behind(self.folder)
        if left:
            kill_all(self.folder)
        assert not left, f"left behind: {left}"

    # Targets of faults

    def processes(self, word: str = "", shell: bool | None = None) -> list[psutil.Process]:
        """Processes of the experiment with a word in their command line.

        Parameters
        ----------
        word
            The word.
        shell
            Whether they must be shells; None: any.
        """
        found = processes_of(self.folder, word)
        return [process for process in found if shell is None or is_shell(process) == shell]

    def kill(self, word: str, shell: bool = False) -> str:
        """Send SIGKILL to a random process with a word in its command line."""
        found = self.processes(word, shell)
        if not found:
            return NONE
        victim = self.random.choice(found)
        send(victim)
        return f"killed {victim.pid}"

    def request(self, method: str, path: str, **options: Any) -> str:
        """Send a request to the manager's REST interface; return the status of the answer.

        NNI does not answer some malformed requests at all; then it is the type of the error.
        """
        url = f"{self.experiment.client.url}/{path}"
        try:
            return str(requests.request(method, url, timeout=8, **options).status_code)
        except requests.RequestException as error:
            return type(error).__name__

    def jobs(self) -> list[dict[str, Any]]:
        """The manager's list of trial jobs; empty if it does not answer."""
        try:
            return self.experiment.client.trial_jobs()
        except (OSError, ValueError):
            return []
