"""Interruptions of the real nnictl: the lineage resumes, and comes to the same records."""

import random

import pytest

from tests.faults.registry import kinds
from tests.faults.worker import run_experiment

INTERRUPTIONS = (
    "stop and resume",
    "kill -9 of the manager",
    "kill -9 of the tuner",
    "kill -9 of everything at once",
    "SIGSTOP of everything",
    "power loss",
)


@pytest.mark.slow
def test_an_evolution_interrupted_ten_times_has_the_same_records(tmp_path, port, monkeypatch):
    for variable in ("HOME", "NNI_STRESS_FAULTS"):  # set by the experiment; restored at the end
        monkeypatch.setenv(variable, str(tmp_path))
    chance, known = random.Random(5), kinds()
    plan = [known[chance.choice(INTERRUPTIONS)] for _ in range(10)]
    result = run_experiment(tmp_path / "interrupted", 5, port, plan)
    assert result["outcome"] == "held" and len(result["faults"]) == 10, result
