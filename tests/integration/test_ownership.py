"""A lineage belongs to one experiment: no other resumes it, and no other trial writes to it."""

from pathlib import Path

import pytest
import yaml

from nni_stress.lineage.store import Lineage
from tests.helpers.nnictl import nnictl
from tests.helpers.running import Running

ROOT = Path(__file__).parents[2]
SPACE = {"environmental_factor": {"_type": "uniform", "_value": [0.3, 0.7]}}


def config_of(folder, lineage):
    folder.mkdir()
    config = {
        "searchSpace": SPACE,
        "trialCommand": "python3 -m tests.helpers.cheap_trial 0.1",
        "trialCodeDirectory": str(ROOT),
        "trialConcurrency": 1,
        "tuner": {
            "className": "nni_stress.StressTuner",
            "classArgs": {
                "folder": str(lineage),
                "population_size": 2,
                "generations": 2,
                "tolerance": 0.5,
            },
        },
        "trainingService": {"platform": "local"},
        "experimentWorkingDirectory": str(folder / "nni"),
    }
    (folder / "stress.yml").write_text(yaml.safe_dump(config))


@pytest.fixture
def nni(port):
    """Run a command of nnictl on an experiment in a folder; all are stopped at the end."""
    started = []

    def run(command, folder, refusal=None, **variables):
        arguments = ["--config", folder / "stress.yml"]
        if command == "resume":
            arguments = [started_in(folder).id, "--experiment_dir", folder / "nni"]
        done = nnictl(command, *arguments, "--port", port, **variables)
        started.append(Running(port, folder))
        if refusal is None:
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            line = done.stderr.splitlines()[-1]
            assert done.returncode == 1 and line.startswith("nni-stress: ") and refusal in line
        return started[-1]

    def started_in(folder):
        return Running(port, folder)

    yield run
    for id in {experiment.id for experiment in started}:
        nnictl("stop", id)


def ends_with(running, status):
    running.until(lambda: running.status() == status)
    nnictl("stop", running.id)
    return (running.folder / "log" / "nnictl_stderr.log").read_text()


@pytest.mark.slow
def test_a_lineage_is_resumed_by_its_own_experiment_or_adopted_in_so_many_words(nni, tmp_path):
    lineage = tmp_path / "lineage"
    for name in ("first", "second"):
        config_of(tmp_path / name, lineage)
    first = nni("create", tmp_path / "first")
    ends_with(first, "DONE")
    state, records = Lineage(lineage).read_state(), Lineage(lineage).records()
    assert state["experiment"] == first.id and len(records) == 5
    second = nni("create", tmp_path / "second", "already holds a lineage")
    owned = f"must hold the lineage of experiment {second.id}, but it is that of {first.id}"
    nni("resume", tmp_path / "second", owned)
    assert Lineage(lineage).read_state() == state and Lineage(lineage).records() == records
    ends_with(nni("resume", tmp_path / "second", NNI_STRESS_ADOPT=first.id), "DONE")
    assert Lineage(lineage).read_state()["experiment"] == second.id
    assert Lineage(lineage).records() == records
