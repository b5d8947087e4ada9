"""An evolution in one process: the tuner's plans, the trials' networks, interrupted or not."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nni_stress import StressTuner
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.errors import InputError
from nni_stress.trial.in_process import evolve
from nni_stress.trial.offspring import make
from nni_stress.trial.task import Task
from reports.simulation import SimulatedManager
from tests.helpers.slow_offspring import layers
from tests.unit.trial.test_snapshots import Killed, killed_at

SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.4, 0.7]},
    "stress_epochs": {"_type": "choice", "_value": [1.0]},
    "recovery_epochs": {"_type": "choice", "_value": [1.0]},
}
ARGUMENTS = {
    "population_size": 2,
    "generations": 2,
    "tolerance": 0.5,
    "maturation_epochs": 2.0,
    "seed": 1,
}
UIDS = ["g000-00", "g001-00", "g001-01", "g002-00", "g002-01", "g003-00"]


def make_task():
    inputs = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(inputs, inputs[:, 0, 0, :3].argmax(1))

    def fidelity(network, split):
        network.eval()
        return float((network(inputs).argmax(1) == data.tensors[1]).float().mean())

    return Task(
        network=layers,
        example_input=inputs[:2],
        loader=lambda generator: DataLoader(data, 8, shuffle=True, generator=generator),
        loss=nn.functional.cross_entropy,
        fidelity=fidelity,
        founder_epochs=3,
        founder_learning_rate=1e-2,
    )


def records(lineage):
    return [record._replace(seconds={}) for record in lineage.records()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return evolve(make_task(), tmp_path_factory.mktemp("whole"), SPACE, **ARGUMENTS)


def test_it_runs_to_the_maturation_of_its_best(whole):
    assert [record.uid for record in whole.records()] == UIDS
    assert whole.read_state()["finished"] == "all 2 generations done, and the best matured"
    best = best_survivor(whole)
    assert best.matured and best.efficiency > 2


def test_a_manager_that_runs_one_trial_at_a_time_gives_the_same(whole, tmp_path):
    class Manager(SimulatedManager):
        def offspring(self, spec, lineage):
            return make(make_task(), spec, lineage, None).validation

    tuner = StressTuner(folder=str(tmp_path), **ARGUMENTS)
    manager = Manager(tuner, concurrency=1)
    manager.space = SPACE
    manager.run()
    assert manager.ended and records(tuner.lineage) == records(whole)


@pytest.mark.parametrize("step", [10, 25, 55, 70])
def test_an_interrupted_evolution_goes_on(whole, tmp_path, step):
    with pytest.raises(Killed):
        evolve(killed_at(make_task(), step), tmp_path, SPACE, **ARGUMENTS)
    interrupted = Lineage(tmp_path)
    assert len(interrupted.records()) < len(UIDS)
    lineage = evolve(make_task(), tmp_path, SPACE, **ARGUMENTS)
    assert records(lineage) == records(whole)


def test_what_fails_is_lost_and_wrong_input_ends_it(tmp_path):
    task = make_task()
    calls = iter(range(1000))

    def fails_once(outputs, targets):
        if next(calls) == 20:  # of the first offspring
            raise RuntimeError("made to fail")
        return task.loss(outputs, targets)

    failing = dataclasses.replace(task, loss=fails_once)
    lineage = evolve(failing, tmp_path / "lost", SPACE, **{**ARGUMENTS, "generations": 1})
    assert "made to fail" in lineage.failure("g001-00")["reason"]
    assert lineage.record("g001-01") is not None
    wrong = dataclasses.replace(task, network=lambda: None)
    with pytest.raises(InputError, match=r"Task\.network must return"):
        evolve(wrong, tmp_path / "wrong", SPACE, **ARGUMENTS)
    assert Lineage(tmp_path / "wrong").record(FOUNDER) is None
    with pytest.raises(ValueError, match="generations must be a whole number"):
        evolve(task, tmp_path / "wrong", SPACE, generations=0)
