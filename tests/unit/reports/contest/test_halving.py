"""Successive halving: four short trials and a long one, whatever happens in them."""

import dataclasses

import pytest
import torch

from nni_stress.graph import serialization
from reports.contest.methods import nni_pruners
from reports.contest.methods.base import Job
from reports.contest.methods.halving import search
from reports.contest.methods.phases import train_for, whole_steps
from trials.lenet5 import make_task

SPACE = {
    "rate": {"_type": "uniform", "_value": [0.0, 1.0]},
    "scope": {"_type": "choice", "_value": ["uniform", "global"]},
}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    task = make_task("digits", None, 32, 3)
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("founder") / "founder.safetensors"
    serialization.save(task.network(), file)
    return Job(task, file, "parameters", 8.0, 1.0, 4.0, 5, (5e-4, 16e-3), file)


class Planted:
    """A pruner whose networks are as good as they are told to be; it trains as long as it may."""

    def __init__(self, fidelities):
        self.fidelities = iter(fidelities)
        self.trials = []
        self.weights = []

    def __call__(self, trial):
        self.trials.append(trial)
        self.weights.append(trial.network.conv1.weight.detach().clone())
        steps = whole_steps(trial.task, trial.epochs)
        fidelity = next(self.fidelities)
        if fidelity is None:
            raise RuntimeError("diverged\nat once")
        train_for(trial.network, trial.task, steps, 1e-3, trial.seed)
        trial.network.fidelity = fidelity
        return trial.network


@pytest.fixture
def judged(job, monkeypatch):
    monkeypatch.setattr(
        "reports.contest.methods.halving.fidelity_of", lambda task, network, split: network.fidelity
    )
    return job


def test_the_best_draw_is_tried_once_more_from_the_founder(judged):
    prune = Planted([0.1, 0.3, 0.2, 0.25, 0.4])
    found = search(judged, prune, SPACE)
    assert [round(trial.epochs, 3) for trial in prune.trials] == [0.125] * 4 + [0.5]
    assert prune.trials[4].knobs == prune.trials[1].knobs and found.network.fidelity == 0.4
    assert len({str(trial.knobs) for trial in prune.trials}) == 4
    assert len({trial.seed for trial in prune.trials}) == 5
    assert all(trial.allowed == 1 / 8 for trial in prune.trials)
    founder = serialization.load(judged.founder, judged.task.network)
    assert all(torch.equal(weight, founder.conv1.weight) for weight in prune.weights)
    # 31 batches make an epoch: four times 3, and 15.
    assert [trial["epochs"] for trial in found.trials] == [3 / 31] * 4 + [15 / 31]
    assert found.epochs == sum(trial["epochs"] for trial in found.trials) <= judged.epochs
    assert [trial["validation"] for trial in found.trials] == [0.1, 0.3, 0.2, 0.25, 0.4]


def test_a_short_trial_may_be_the_best(judged):
    found = search(judged, Planted([0.1, 0.3, 0.2, 0.25, 0.28]), SPACE)
    assert found.network.fidelity == 0.3


def test_a_trial_that_fails_is_recorded_and_ends_nothing(judged):
    found = search(judged, Planted([None, 0.3, None, 0.25, None]), SPACE)
    assert found.network.fidelity == 0.3
    failed = [trial for trial in found.trials if "failed" in trial]
    assert len(failed) == 3 and all("diverged" in trial["failed"] for trial in failed)
    assert all(set(trial) == {"knobs", "epochs", "failed"} for trial in failed)
    assert all("\n" not in trial["failed"] and trial["epochs"] == 0 for trial in failed)


def test_if_all_fail_there_is_no_network(judged):
    with pytest.raises(ValueError, match=r"all 4 trials failed, the first one: .*diverged"):
        search(judged, Planted([None] * 4), SPACE)


def test_the_draws_are_those_of_the_seed(judged):
    def knobs(seed):
        job = dataclasses.replace(judged, seed=seed)
        return [trial["knobs"] for trial in search(job, Planted([0.1] * 5), SPACE).trials]

    assert knobs(5) == knobs(5) != knobs(6)


def test_a_search_with_a_real_pruner(job):
    found = nni_pruners.METHODS["L1NormPruner"](job)
    assert found.epochs <= job.epochs and len(found.trials) == 5
    assert set(found.trials[0]["knobs"]) == {"scope", "stages", "learning_rate"}
    assert all(0 <= trial["validation"] <= 1 for trial in found.trials)


def test_one_ratio_takes_no_training(job):
    found = nni_pruners.METHODS["L1NormPruner at one ratio"](job)
    assert found.epochs == 0 and found.network.fc1.out_features < 250
    assert [set(trial) for trial in found.trials] == [{"knobs", "epochs", "validation"}]
