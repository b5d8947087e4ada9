"""The campaign's plan and record: it is seeded, and goes on where it was interrupted."""

import json
import subprocess
import sys

import pytest

from tests.faults.plan import make_plan
from tests.faults.processes import left_behind
from tests.faults.record import CampaignRecord
from tests.faults.registry import kinds

CHEAP = ("kill -9 at any moment", "forged parameters of trials")


def campaign(folder, *options):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.campaign", "--folder", folder),
            *("--kinds", *CHEAP, *map(str, options)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_campaign_goes_on_from_its_record(tmp_path):
    code, shown = campaign(tmp_path, "--faults", 4)
    record = tmp_path / "record.jsonl"
    lines = record.read_text().splitlines(keepends=True)
    assert code == 0 and shown.count(" held") >= 4 and len(lines) == 5, shown
    record.write_text("".join(lines[:3]) + lines[3][:20])  # it was killed while it wrote
    code, shown = campaign(tmp_path, "--faults", 4)
    again = record.read_text().splitlines(keepends=True)
    assert code == 0 and again[:3] == lines[:3] and len(again) == 5, shown
    numbers = sorted(json.loads(line)["task"] for line in again[1:])
    assert numbers == [0, 1, 2, 3]


def test_a_plan_is_seeded_and_has_as_many_faults_as_asked_for():
    known = list(kinds().values())
    plan = make_plan(known, 300, seed=1)
    assert plan == make_plan(known, 300, seed=1) != make_plan(known, 300, seed=2)
    faults = [kind for task in plan for kind in task.kinds]
    assert len(faults) == 300 and {kind.name for kind in faults} == {kind.name for kind in known}
    assert sum(not kind.simulated for kind in faults) >= 60
    for task in plan:
        assert len(task.kinds) == 1 or not any(kind.simulated for kind in task.kinds)


def test_an_unknown_kind_is_refused(tmp_path):
    code, shown = campaign(tmp_path, "nonsense")
    assert code == 2 and "unknown kind 'nonsense'" in shown


def test_a_record_of_a_failed_fault_is_kept(tmp_path):
    record = CampaignRecord(tmp_path / "record.jsonl", {"seed": 1})
    record.add([{"task": 3, "kind": "x", "outcome": "FAILED: it hangs"}])
    again = CampaignRecord(tmp_path / "record.jsonl", {"seed": 1})
    assert again.done() == {3} and again.faults == record.faults
    with pytest.raises(SystemExit, match="name another file by --record"):
        CampaignRecord(tmp_path / "record.jsonl", {"seed": 2})


def test_a_process_that_is_left_behind_is_noticed(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", tmp_path])
    try:
        (left,) = left_behind(tmp_path, seconds=0.1)
        assert "time.sleep(60)" in left
    finally:
        sleeper.kill()
        sleeper.wait()
    assert left_behind(tmp_path, seconds=5) == []
