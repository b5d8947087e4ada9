"""A contest on a user's own task by the command line: killed, ended, resumed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from reports.contest.records import collect

ROOT = Path(__file__).parents[2]
METHODS = ["evolution", "Torch-Pruning Taylor"]


@pytest.fixture
def own(tmp_path):
    """A folder with a trial of one's own, as `init` writes it, and a contest's file."""
    folder = tmp_path / "mine"
    subprocess.run([sys.executable, "-m", "nni_stress", "init", folder], check=True, cwd=ROOT)
    content = yaml.safe_load((ROOT / "reports" / "contest" / "own.yml").read_text())
    content["axes"] = {"macs": {"budgets": [4], "methods": METHODS}}
    (folder / "my.yml").write_text(yaml.safe_dump({**content, "processes": 2}))
    return folder


def started(folder):
    words = ["contest", "my.yml", "--task", "trial.py:make_task", "--folder", "contest"]
    return subprocess.Popen(
        [sys.executable, "-m", "reports", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=open(folder / "output", "w"),
        stderr=open(folder / "errors", "w"),
    )


def wait_for_a_record(contest, folder):
    deadline = time.time() + 300
    while not list(folder.glob("contest/cells/**/*.json")):
        assert time.time() < deadline and contest.poll() is None
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_contest_that_is_ended_says_so(own, number):
    contest = started(own)
    wait_for_a_record(contest, own)
    contest.send_signal(number)
    assert contest.wait(timeout=60) == 1
    assert "interrupted; all records are kept" in (own / "errors").read_text()


@pytest.mark.slow
def test_a_contest_on_ones_own_task_goes_on_after_it_was_killed(own):
    contest = started(own)
    wait_for_a_record(contest, own)
    contest.kill()
    contest.wait()
    kept = {path: path.read_bytes() for path in own.glob("contest/cells/**/*.json")}
    contest = started(own)
    assert contest.wait(timeout=600) == 0, (own / "errors").read_text()
    assert (own / "output").read_text().splitlines()[-1] == "contest/report.html"
    assert all(path.read_bytes() == content for path, content in kept.items())
    results = collect(own / "contest")
    assert not results.problems and len(results.records) == len(METHODS) * 3
    assert not list(own.glob("contest/cells/**/*.lock"))
    assert "Torch-Pruning Taylor" in (own / "contest" / "report.html").read_text()
