"""An experiment whose tuner comes late, never, or refuses to work."""

import subprocess
import sys

import psutil
import pytest

from tests.helpers.nnictl import environment, nnictl
from tests.helpers.running import config_of

SLOW = """
import os, time
if os.environ.get("SDK_PROCESS") == "dispatcher":
    {statement}
"""


def tuner_that_first(statement, folder):
    """Variables by which the tuner's process runs a statement before anything else."""
    (folder / "sitecustomize.py").write_text(SLOW.format(statement=statement))
    return {"PYTHONPATH": f"{folder}:{environment().get('PYTHONPATH', '')}"}


def status_of(id):
    return subprocess.run(
        [sys.executable, "-m", "nni_stress", "status", id],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_a_tuner_may_take_longer_than_ten_seconds_to_start(experiment, tmp_path):
    config_of(tmp_path)
    running = experiment(**tuner_that_first("time.sleep(13)", tmp_path))
    assert running.until(running.running_trial)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        pytest.param(
            "raise SystemExit('no such disk')",
            ("no such disk", "no such disk"),
            marks=pytest.mark.slow,
        ),
        ("pass", ("already holds a lineage", "but it is that of another")),
    ],
)
def test_a_tuner_that_does_not_start_is_reported_and_leaves_nothing(
    statement, words, port, tmp_path
):
    (tmp_path / "lineage").mkdir()
    (tmp_path / "lineage" / "state.json").write_text('{"experiment": "another"}')
    arguments = {"folder": str(tmp_path / "lineage")} if statement == "pass" else {}
    config = config_of(
        tmp_path, tuner={"className": "nni_stress.StressTuner", "classArgs": arguments}
    )
    variables, id = tuner_that_first(statement, tmp_path), None
    for command, expected in zip(("create", "resume"), words):
        where = (id, "--experiment_dir", tmp_path / "nni") if id else ("--config", config)
        done = nnictl(command, *where, "--port", port, timeout=150, **variables)
        id = (tmp_path / "nni" / "_latest").readlink().name
        assert done.returncode == 1, done.stdout + done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"nni-stress: experiment {id} ended: ") and expected in last, last
        assert not left_behind(tmp_path)
    shown = status_of(id)
    assert shown.returncode == 1 and "ended without a lineage" in shown.stderr, shown.stderr
    assert expected in shown.stderr and len(shown.stderr.splitlines()) == 1


def left_behind(folder):
    return [
        command
        for process in psutil.process_iter()
        if str(folder) in (command := " ".join(cmdline(process)))
    ]


def cmdline(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
