"""A maturation keeps the best epoch, ends once fidelity no longer rises, and can be interrupted."""

import copy
import dataclasses
import math

import pytest
import torch

from nni_stress.lineage.store import FOUNDER
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial import snapshots
from nni_stress.trial.errors import InputError
from nni_stress.trial.maturation import PATIENCE, Maturation
from nni_stress.trial.maturing import make_matured
from nni_stress.trial.training import Training
from tests.helpers.slow_offspring import UID, make, make_task
from tests.unit.trial.test_snapshots import Killed, killed_at, result

MATURED = "g002-00"
EPOCHS = 4.5  # of 6 batches
SPEC = TrialSpec(
    MATURED,
    2,
    UID,
    None,
    0,
    {
        "environmental_factor": 1.0,
        "stress_epochs": 0.0,
        "recovery_epochs": EPOCHS,
        "learning_rate": 0.01,
    },
    maturation=True,
)


@pytest.fixture(scope="module")
def lineages(tmp_path_factory):
    return {name: make(tmp_path_factory.mktemp(name), name) for name in ("layers", "dropout")}


@pytest.fixture(scope="module")
def whole(lineages):
    for name, lineage in lineages.items():
        make_matured(make_task(name), SPEC, lineage)
    return lineages


@pytest.mark.parametrize("name", ["layers", "dropout"])
def test_its_record_is_that_of_the_same_architecture_trained_on(whole, name):
    lineage = whole[name]
    record, source = lineage.record(MATURED), lineage.record(UID)
    assert record.matured and record.ancestor == UID and not source.matured
    same = ("synapses", "macs", "efficiency", "architecture", "clusters", "latency")
    assert all(getattr(record, field) == getattr(source, field) for field in same)
    assert len(record.curve) == 6 and record.curve[0] == record.untrained
    assert record.validation == max(record.curve) >= source.validation
    assert set(record.seconds) == {"maturation", "evaluation", "overhead"}


@pytest.mark.parametrize("name", ["layers", "dropout"])
@pytest.mark.parametrize("steps", [[3], [8, 7], [26], [13, 13, 2]])
def test_an_interrupted_maturation_equals_one_that_was_not(name, steps, whole, tmp_path):
    lineage = make(tmp_path, name)
    for step in steps:
        with pytest.raises(Killed):
            make_matured(killed_at(make_task(name), step), SPEC, lineage)
        assert lineage.record(MATURED) is None
    make_matured(make_task(name), SPEC, lineage)
    assert result(lineage, MATURED) == result(whole[name], MATURED)
    assert not list((tmp_path / "snapshots").glob("*"))


@pytest.fixture(autouse=True)
def always_due(monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 0.0)
    monkeypatch.setattr(snapshots, "SHARE", 1e9)


def test_a_damaged_snapshot_costs_the_training_and_nothing_else(whole, tmp_path, caplog):
    lineage = make(tmp_path, "layers")
    with pytest.raises(Killed):
        make_matured(killed_at(make_task("layers"), 20), SPEC, lineage)
    path = lineage.snapshot_path(MATURED)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "state": {**content["state"], "best": {}}}, path)
    make_matured(make_task("layers"), SPEC, lineage)
    assert "does not fit" in caplog.text
    assert result(lineage, MATURED) == result(whole["layers"], MATURED)


def test_what_is_to_mature_must_be_there(tmp_path):
    lineage = make(tmp_path, "layers", uids=[FOUNDER])
    with pytest.raises(InputError, match=UID):
        make_matured(make_task("layers"), SPEC, lineage)


def matured(fidelities, epochs):
    """Curve and steps of a maturation of which fidelity before, and after each epoch, is known."""
    given = iter(fidelities)
    seen = []
    task = make_task("norms")
    network = task.network()

    def fidelity(network, split):
        seen.append(copy.deepcopy(network.state_dict()))
        return next(given)

    task = dataclasses.replace(task, fidelity=fidelity)
    training = Training(network, task, epochs, 1e-2, seed=0)
    validation = Maturation(network, task, training).run()
    return validation, seen, network.state_dict(), training.step


@pytest.mark.parametrize(
    ("fidelities", "best"),
    [
        ([0.1, 0.2, 0.5, 0.4, 0.3], 2),
        ([0.6, 0.2, 0.5, 0.4, 0.3], 0),
        ([0.1, 0.2, 0.3, 0.4, 0.9], 4),
    ],
)
def test_the_best_epoch_is_kept(fidelities, best):
    validation, seen, state, _ = matured(fidelities + [0.0] * 4, epochs=4)
    assert all(torch.equal(tensor, seen[best][name]) for name, tensor in state.items())
    assert validation.final == fidelities[best] and validation.untrained == fidelities[0]


@pytest.mark.parametrize("epochs", [4, 5, 10])
@pytest.mark.parametrize("before", [0.1, 0.9])
def test_it_ends_once_fidelity_has_not_risen_for_too_long(epochs, before):
    patience = math.ceil(PATIENCE * epochs)
    validation, _, _, step = matured([before, 0.2] + [0.05] * epochs, epochs)
    assert len(validation.curve) == 2 + patience
    assert step == 6 * (1 + patience)


@pytest.mark.parametrize("epochs", [1, 2, 4, 10])
def test_a_network_that_is_good_already_gets_the_time_to_become_better(epochs):
    """The learning rate begins high again: at first the network becomes worse."""
    curve = [0.9, *(0.5 + index / 100 for index in range(epochs - 1)), 0.95]
    validation, *_, step = matured(curve, epochs)
    assert step == 6 * epochs and list(validation.curve) == curve and validation.final == 0.95
