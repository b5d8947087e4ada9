"""Training that is ended by ``kill -9`` goes on from its last epoch, to the same network."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml

from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from tests.helpers.nnictl import nnictl
from tests.helpers.running import Running
from tests.helpers.slow_offspring import ARGUMENTS, EPOCHS, UID, make_task

ROOT = Path(__file__).parents[2]


def result(lineage, uid):
    return lineage.record(uid)._replace(seconds={}), lineage.network_path(uid).read_bytes()


def wait_for_phase(lineage, uid, phase, epochs, process=None):
    """Wait until a snapshot of that phase has been written, of at least so many epochs."""
    path = lineage.snapshot_path(uid)
    deadline = time.time() + 90
    while time.time() < deadline:
        assert process is None or process.poll() is None, process.stderr.read()
        if path.exists():
            content = torch.load(path, weights_only=True)
            state = content["state"]
            step = state["step"] if phase == "stress" else state.get("training", {}).get("step", 0)
            if content["phase"] == phase and step >= 6 * epochs:
                return
        time.sleep(0.02)
    raise AssertionError(f"no snapshot of the {phase} of {uid}")


@pytest.mark.slow
def test_a_trial_killed_in_each_of_its_trainings_ends_with_the_same_networks(tmp_path):
    name = "dropout"
    lineage = Lineage(tmp_path / "killed")
    helper = [sys.executable, "-m", "tests.helpers.slow_offspring"]
    command = [*helper, str(lineage.folder), name]
    for uid, phase in ((FOUNDER, "founder"), (UID, "stress"), (UID, "recovery")):
        process = subprocess.Popen([*command, "0.1"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        wait_for_phase(lineage, uid, phase, 2, process)
        time.sleep(0.25)  # into the midst of an epoch
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert lineage.record(uid) is None
    whole = Lineage(tmp_path / "whole")
    for folder in (lineage.folder, whole.folder):
        subprocess.run([*helper, str(folder), name, "0"], cwd=ROOT, check=True, timeout=90)
    for uid in (FOUNDER, UID):
        assert result(lineage, uid) == result(whole, uid)
    assert not list((lineage.folder / "snapshots").iterdir())


def config_of(folder):
    choices = {**EPOCHS, **ARGUMENTS["norms"]}
    config = {
        "searchSpace": {
            name: {"_type": "choice", "_value": [value]} for name, value in choices.items()
        },
        "trialCommand": "python3 -m tests.helpers.slow_trial 0.15",
        "trialCodeDirectory": str(ROOT),
        "trialConcurrency": 1,
        "tuner": {
            "className": "nni_stress.StressTuner",
            "classArgs": {
                "folder": str(folder / "lineage"),
                "population_size": 1,
                "generations": 1,
                "tolerance": 0.9,
            },
        },
        "trainingService": {"platform": "local"},
        "experimentWorkingDirectory": str(folder / "nni"),
    }
    (folder / "stress.yml").write_text(yaml.safe_dump(config))
    return folder / "stress.yml"


def kill_all(port):
    """End the manager on a port and all that it started at once, as a loss of power does."""
    manager = next(
        psutil.Process(connection.pid)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    )
    processes = [manager, *manager.children(recursive=True)]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, 20)


@pytest.mark.slow
def test_an_experiment_that_is_killed_goes_on_from_the_last_epoch(port, tmp_path):
    lineage = Lineage(tmp_path / "lineage")
    command = ["create", "--config", config_of(tmp_path)]
    for uid, phase in ((UID, "stress"), (UID, "recovery"), (None, None)):
        done = nnictl(*command, "--port", port)
        assert done.returncode == 0, done.stdout + done.stderr
        running = Running(port, tmp_path)
        command = ["resume", running.id, "--experiment_dir", tmp_path / "nni"]
        if uid is not None:
            wait_for_phase(lineage, uid, phase, 1)
            kill_all(port)
            (lineage.folder / "offspring" / ".g001-00.0123456789abcdef").mkdir(
                exist_ok=True
            )  # of a killed trial
    running.until(lambda: running.status() == "DONE", 90)
    nnictl("stop", running.id)
    whole = Lineage(tmp_path / "whole")
    for generation, make_it in ((0, make_founder), (1, make_offspring)):
        spec = lineage.planned_generation(generation).offspring[0]
        arguments = (make_task("norms"), spec, whole)
        make_it(*arguments, None) if generation == 0 else make_it(*arguments)
        assert result(lineage, spec.uid) == result(whole, spec.uid)
    logs = "".join(path.read_text() for path in running.folder.rglob("trial.log"))
    for phase in ("stress", "recovery"):
        assert f"the {phase} resumes from its last epoch on record" in logs
    assert not list((lineage.folder / "snapshots").iterdir())
    assert not list(lineage.folder.rglob(".*"))
