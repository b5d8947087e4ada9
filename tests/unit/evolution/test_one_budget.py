"""One budget of size and of training: kept to, whatever the network and the resource."""

import pytest
from nni_stress.trials.data import load_images
from nni_stress.trials.grey_images import classification
from nni_stress.trials.models.resnet import resnet20

from nni_stress import evolve, for_budget
from nni_stress.evolution.search_space import check_search_space
from nni_stress.evolution.tuner_arguments import check_arguments
from nni_stress.trials import lenet5


def resnet_task():
    return classification(resnet20, load_images("digits"), 64, 1, 2e-3, shift=0)


def lenet_task():
    return lenet5.make_task("digits", founder_epochs=1)


@pytest.mark.parametrize(
    ("make_task", "resource", "times"),
    [
        (lenet_task, "parameters", 20.0),
        (lenet_task, "macs", 6.0),
        pytest.param(resnet_task, "macs", 5.0, marks=pytest.mark.slow),
    ],
)
def test_size_and_training_are_kept_to(make_task, resource, times, tmp_path, monkeypatch):
    task = make_task()
    epochs = 3.0
    arguments = for_budget(times, epochs, task.founder_learning_rate)
    monkeypatch.setattr("nni_stress.trial.maturation.PATIENCE", 10.0)  # to the end
    evolution = evolve(task, tmp_path / "first", resource=resource, progress=False, **arguments)
    best, whole = evolution.best, evolution.founder
    used = {"parameters": whole.synapses / best.synapses, "macs": whole.macs / best.macs}
    assert best.matured and times <= used[resource] < 1.35 * times
    (offspring,) = (record for record in evolution.records if record.generation == 1)
    assert best.ancestor == offspring.uid and offspring.judged > 100
    trained = offspring.arguments["stress_epochs"] + offspring.arguments["recovery_epochs"]
    assert trained + arguments["maturation_epochs"] == pytest.approx(epochs, abs=1e-4)
    assert len(best.curve) - 1 == pytest.approx(arguments["maturation_epochs"], abs=1)
    assert best.validation > offspring.validation


def test_what_it_gives_is_what_the_tuner_takes():
    arguments = for_budget(30, 50.0, 1e-3)
    space = arguments.pop("space")
    check_search_space(space)
    check_arguments(arguments, space)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1.0, 5), "times must be a number above 1, but got 1.0"),
        ((float("inf"), 5), "times must be a number above 1, but got inf"),
        ((4, 0), "epochs must be a number above 0, but got 0"),
        ((4, 5, -1.0), "learning_rate must be a number above 0, but got -1.0"),
        (("ten", 5), "times must be a number above 1, but got 'ten'"),
        ((4, True), "epochs must be a number above 0, but got True"),
    ],
)
def test_what_is_out_of_range_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        for_budget(*arguments)
