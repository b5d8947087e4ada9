"""What was written into NNI's database behind an experiment's back is not started."""

import json
import shlex
import sqlite3
import subprocess
import sys

import pytest
import requests

from tests.helpers.nnictl import environment, nnictl
from tests.helpers.running import config_of


def stored(folder):
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        (text,) = database.execute(
            "select params from ExperimentProfile order by revision desc"
        ).fetchone()
    return json.loads(text)


def store(folder, config):
    with sqlite3.connect(folder / "db" / "nni.sqlite") as database:
        database.execute("update ExperimentProfile set params = ?", (json.dumps(config),))


@pytest.fixture
def stopped(experiment, tmp_path):
    config_of(tmp_path)
    running = experiment()
    running.until(running.running_trial)
    assert nnictl("stop", running.id).returncode == 0
    return running


def changes(touched):
    """Parts of a profile that name what runs; each would make a file."""
    touch = shlex.join(["touch", str(touched)])
    popen = {
        "className": "subprocess.Popen",
        "codeDirectory": "/",
        "classArgs": {"args": touch, "shell": True},
    }
    return [
        ("tuner.className", {"tuner": popen}),
        ("trialCommand", {"trialCommand": touch}),
        ("trialCodeDirectory", {"trialCodeDirectory": "/"}),
        ("trainingService.", {"trainingService": {"platform": "local", "trialCommand": touch}}),
        ("experimentWorkingDirectory", {"experimentWorkingDirectory": "/"}),
        ("trainingServicePlatform", {"trainingServicePlatform": "local"}),
    ]


SCRIPT = """
import sys, nni_stress
from nni.experiment import Experiment
Experiment(None, id=sys.argv[1]).resume(int(sys.argv[2]), wait_completion=False)
"""


@pytest.mark.slow
def test_a_changed_profile_is_neither_resumed_nor_viewed(stopped, tmp_path, port):
    original, touched = stored(stopped.folder), tmp_path / "touched"
    where = ("--experiment_dir", tmp_path / "nni", "--port", port)
    for key, change in changes(touched):
        store(stopped.folder, {**original, **change})
        for command in ("resume", "view") if key == "tuner.className" else ("resume",):
            done = nnictl(command, stopped.id, *where)
            assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
            words = f"error: the stored experiment {stopped.id}: {key}"
            assert done.stderr.startswith(words) and "as when" in done.stderr, done.stderr
    script = subprocess.run(
        [sys.executable, "-c", SCRIPT, stopped.id, str(port)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert script.returncode == 1 and "as when the experiment was created" in script.stderr
    with sqlite3.connect(stopped.folder / "db" / "nni.sqlite") as database:
        database.execute("update ExperimentProfile set params = ?", ("[" * 100_000,))
    damages = {"is damaged: mappings and lists may be nested": None, "not a database": b"garbage"}
    for words, content in damages.items():
        if content is not None:
            (stopped.folder / "db" / "nni.sqlite").write_bytes(content * 1000)
        done = nnictl("resume", stopped.id, *where)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        assert words in done.stderr
    with pytest.raises(requests.ConnectionError):
        stopped.status()
    assert not touched.exists()


@pytest.mark.slow
def test_what_nnictl_changes_itself_is_resumed(stopped, tmp_path, experiment):
    changed = {
        **stored(stopped.folder),
        "maxTrialNumber": 7,
        "maxExperimentDuration": "2h",
        "trialConcurrency": 2,
        "searchSpace": {"stress_peak": {"_type": "uniform", "_value": [0, 0.5]}},
    }
    store(stopped.folder, changed)
    again = experiment("resume", stopped.id, "--experiment_dir", tmp_path / "nni")
    assert again.until(again.running_trial)


@pytest.mark.slow
def test_a_profile_that_a_request_replaced_stays_guarded(experiment, tmp_path, port):
    """A local client may send a whole profile; what was ours is not started as a stranger's."""
    config_of(tmp_path)
    running = experiment()
    running.until(running.running_trial)
    (_, popen), *_ = changes(tmp_path / "touched")
    profile = requests.get(f"{running.api}/experiment", timeout=20).json()["params"]
    requests.post(f"{running.api}/experiment", json={**profile, **popen}, timeout=20)
    assert nnictl("stop", running.id).returncode == 0
    done = nnictl("resume", running.id, "--experiment_dir", tmp_path / "nni", "--port", port)
    refused = done.returncode == 1 and "tuner.className" in done.stderr
    assert refused or stored(running.folder)["tuner"] == profile["tuner"], done.stderr
    assert not (tmp_path / "touched").exists()
    kept = (running.folder / "nni-stress.json").stat()
    assert kept.st_mode & 0o777 == 0o600
