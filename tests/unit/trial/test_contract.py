"""What a task's functions may return, and the one line for everything else."""

import dataclasses

import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from nni_stress import Task, run_trial
from nni_stress.evolution.rules import Rules
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec
from nni_stress.trial import claim
from nni_stress.trial.errors import InputError
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring

INPUTS, TARGETS = torch.rand(24, 6), torch.rand(24, 2)
CONVOLUTIONAL = {
    "network": lambda: nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    ),
    "example_input": INPUTS[:2, None],
    "loader": lambda generator: DataLoader(
        TensorDataset(INPUTS[:, None], TARGETS), 8, shuffle=True, generator=generator
    ),
}


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(INPUTS, TARGETS))


class CountedStream(Stream):
    def __len__(self):
        return len(INPUTS)


class RunningSum(nn.Module):
    def forward(self, values):
        return values.cumsum(-1)


def task(**changes):
    settings = {
        "network": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)),
        "example_input": INPUTS[:2],
        "loader": lambda generator: [(INPUTS, TARGETS)],
        "loss": nn.functional.mse_loss,
        "fidelity": lambda network, split: 0.5,
        "founder_epochs": 1,
        "founder_learning_rate": 0.01,
    }
    return Task(**{**settings, **changes})


def founder_of(task, folder):
    lineage = Lineage(folder)
    return lineage, make_founder(task, TrialSpec(FOUNDER, 0, None, None, 0, {}), lineage, None)


def offspring_of(task, lineage, **arguments):
    arguments = {"environmental_factor": 0.5, "candidates": 1, **arguments}
    return make_offspring(task, TrialSpec("g001-00", 1, FOUNDER, None, 0, arguments), lineage)


@pytest.mark.parametrize("data", [{}, CONVOLUTIONAL], ids=["linear", "convolutions"])
@pytest.mark.parametrize(
    "value",
    [
        1,
        torch.tensor(0.5),
        torch.tensor([0.5]),
        torch.tensor([[0.5]], requires_grad=True),
        torch.tensor(1),
        numpy.float32(0.5),
        numpy.array([0.5]),
        numpy.int64(1),
    ],
    ids=repr,
)
def test_a_fidelity_may_be_a_number_of_any_kind(value, data, tmp_path):
    judged = task(fidelity=lambda network, split: value, **data)
    lineage, founder = founder_of(judged, tmp_path)
    made = offspring_of(judged, lineage)
    assert type(founder.validation) is float and type(made.test) is float
    number = value if isinstance(value, int) else value.item()
    assert founder.validation == founder.test == made.validation == number
    assert lineage.record("g001-00") == made


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "one number, higher for a better network, but returned None"),
        ("0.5", "but returned a str"),
        (torch.zeros(3), "but returned a Tensor of shape (3,)"),
        (numpy.zeros((2, 2)), "but returned a ndarray of shape (2, 2)"),
        ({"map": torch.tensor(0.5)}, "but returned a dict"),
        ((0.5, 0.1), "but returned a tuple of 2"),
        (1j, "but returned a complex"),
        (True, "but returned a bool"),
        (float("nan"), "a finite number, but returned nan"),
        (torch.tensor(float("inf")), "a finite number, but returned inf"),
    ],
    ids=repr,
)
def test_any_other_fidelity_is_named(value, words, tmp_path):
    with pytest.raises((InputError, FloatingPointError)) as error:
        founder_of(task(fidelity=lambda network, split: value), tmp_path)
    line = str(error.value)
    assert line.startswith("Task.fidelity must return ") and line.endswith("split 'validation'")
    assert words in line and "\n" not in line


def test_a_fidelity_that_is_wrong_only_on_the_test_data_is_named(tmp_path):
    def fidelity(network, split):
        return None if split == "test" else 0.5

    with pytest.raises(InputError, match="returned None for the split 'test'"):
        founder_of(task(fidelity=fidelity), tmp_path)


@pytest.mark.parametrize(
    ("loader", "words"),
    [
        (
            lambda generator: ((INPUTS, TARGETS) for _ in range(3)),
            "returned a generator: object of type 'generator' has no len()",
        ),
        (lambda generator: DataLoader(Stream(), 8), "object of type 'Stream' has no len()"),
        (lambda generator: None, "must return batches that have a length, such as a list"),
        (lambda generator: [], "at least one batch, but the list that it returned has none"),
        (
            lambda generator: DataLoader(TensorDataset(INPUTS, TARGETS), 50, drop_last=True),
            "at least one batch, but the DataLoader that it returned has none",
        ),
        (lambda generator: [INPUTS[:2]], "but one is a Tensor of shape (2, 6)"),
        (lambda generator: [{"inputs": INPUTS, "targets": TARGETS}], "but one is a dict"),
        (lambda generator: [(INPUTS, TARGETS, TARGETS)], "but one is a tuple of 3"),
        (lambda generator: ["ab"], "but one is a str"),
        (lambda generator: [None], "but one is None"),
    ],
)
def test_a_loader_that_gives_no_batches_is_named(loader, words, tmp_path):
    with pytest.raises(InputError) as error:
        founder_of(task(loader=loader), tmp_path)
    assert "Task.loader must" in str(error.value) or "of Task.loader must" in str(error.value)
    assert words in str(error.value)


class Exhausted(list):
    def __len__(self):
        return 3


def test_a_loader_whose_length_promises_more_than_it_has_ends(tmp_path):
    with pytest.raises(InputError, match="at least one batch, but the Exhausted that it returned"):
        founder_of(task(loader=lambda generator: Exhausted()), tmp_path)


@pytest.mark.parametrize(
    "loader",
    [
        lambda generator: DataLoader(CountedStream(), 8),
        lambda generator: [[INPUTS, TARGETS]],
        lambda generator: ((INPUTS, TARGETS),),
    ],
)
def test_a_loader_may_be_anything_with_a_length(loader, tmp_path):
    lineage, founder = founder_of(task(loader=loader), tmp_path)
    made = offspring_of(task(loader=loader), lineage, stress_epochs=1)
    assert made.synapses < founder.synapses


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": lambda outputs, targets: 0.5}, "Task.loss must return a tensor of one element"),
        (
            {"loss": lambda outputs, targets: (outputs - targets) ** 2},
            "one element, but returned a Tensor of shape (24, 2)",
        ),
        (
            {"loss": lambda outputs, targets: (outputs.argmax(1) == 0).float().mean()},
            "Task.loss must return a tensor that depends on the network's weights",
        ),
        (
            {"network": lambda: None},
            "Task.network must return a torch.nn.Module, but returned None",
        ),
    ],
)
def test_a_wrong_loss_or_network_is_named(changes, words, tmp_path):
    with pytest.raises(InputError) as error:
        founder_of(task(**changes), tmp_path)
    assert words in str(error.value)


def test_a_screening_that_is_no_pair_is_named(tmp_path):
    lineage, _ = founder_of(task(), tmp_path)
    with pytest.raises(InputError, match=r"Task.screening must be a pair .*, but is a Tensor"):
        offspring_of(task(screening=INPUTS[:2]), lineage, candidates=2)


@pytest.mark.parametrize(
    ("validation", "tolerance", "warns"),
    [
        (93.0, 0.01, True),
        (-0.4, 0.1, True),
        (0.93, 0.01, False),
        (93.0, 1.0, False),
        (93.0, 0.0, False),
    ],
)
def test_a_fidelity_beyond_the_unit_interval_is_doubted_if_the_tolerance_is_a_share(
    validation, tolerance, warns
):
    warning = Rules(generations=2, tolerance=tolerance).warning(validation)
    assert (warning is not None) == warns
    if warns:
        assert f"fidelity is {validation:g}, but tolerance {tolerance:g}" in warning


@pytest.fixture
def lineage(tmp_path, monkeypatch):
    """Return a lineage of which `run_trial` makes the founder."""
    lineage = Lineage(tmp_path / "lineage")
    spec = TrialSpec(FOUNDER, 0, None, None, 0, {})
    monkeypatch.setattr(claim, "receive", lambda: (spec, lineage))
    monkeypatch.chdir(tmp_path)
    return lineage


def lost(lineage, make_task):
    with pytest.raises(SystemExit):
        run_trial(make_task)
    return lineage.failure(FOUNDER)


def test_a_function_that_makes_no_task_is_named(lineage):
    failure = lost(lineage, lambda: None)
    assert failure["fatal"]
    assert failure["reason"].startswith(
        "make_task must return an nni_stress.Task, but returned None"
    )


WRONG = """
import torch
from tests.unit.trial.test_contract import INPUTS, TARGETS, task

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return {"images": INPUTS[index]}["labels"]

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(5, 2)

    def forward(self, inputs):
        return self.layer(inputs)

def in_the_file():
    return {}["labels"]

def in_fidelity():
    return task(fidelity=lambda network, split: network.accuracy)

def in_loader():
    return task(loader=lambda generator: torch.utils.data.DataLoader(Data(), 8))

def in_worker():
    return task(loader=lambda generator: torch.utils.data.DataLoader(Data(), 8, num_workers=1))

def in_network():
    return task(network=Network)

def in_loss():
    return task(loss=lambda outputs, targets: 1 / 0)
"""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("in_the_file", "KeyError: 'labels' (trial.py, line 21)"),
        (
            "in_fidelity",
            "AttributeError: 'Sequential' object has no attribute 'accuracy' (trial.py, line 24)",
        ),
        ("in_loader", "KeyError: 'labels' (trial.py, line 10)"),
        ("in_worker", "KeyError: 'labels' (trial.py, line 10)"),
        (
            "in_network",
            "the network cannot be followed: RuntimeError: mat1 and mat2 shapes cannot be "
            "multiplied (2x6 and 5x2) (trial.py, line 18)",
        ),
        ("in_loss", "ZeroDivisionError: division by zero (trial.py, line 36)"),
    ],
)
def test_the_reason_of_a_loss_has_type_message_file_and_line(function, reason, lineage, tmp_path):
    (tmp_path / "trial.py").write_text(WRONG)
    names = {}
    exec(compile(WRONG, tmp_path / "trial.py", "exec"), names)
    failure = lost(lineage, names[function])
    assert failure["reason"] == reason
    assert failure["fatal"] == (function in ("in_the_file", "in_network"))


def test_the_same_seed_gives_the_same_network_with_and_without_checks(tmp_path):
    shuffled = task(
        loader=lambda generator: DataLoader(
            TensorDataset(INPUTS, TARGETS), 8, shuffle=True, generator=generator
        )
    )
    networks = []
    for folder, made in (
        ("first", shuffled),
        ("second", dataclasses.replace(shuffled, fidelity=lambda *_: torch.tensor([0.5]))),
    ):
        lineage, _ = founder_of(made, tmp_path / folder)
        networks.append(lineage.network_path(FOUNDER).read_bytes())
    assert networks[0] == networks[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"network": lambda: nn.Sequential(nn.Linear(6, 4), RunningSum(), nn.Linear(4, 2))},
            "nothing of the network can be removed: 0 (Linear) order in cumsum, in 1 "
            "(test_contract.py:",
        ),
        (
            {"clusters": {"op_types": ["Conv2d"]}},
            "nothing of the network can be removed: 0 (Linear) is not selected",
        ),
        ({"clusters": {"op_names": ["hidden"]}}, "Task.clusters: op_names must name modules"),
        ({"clusters": None}, "Task.clusters must be a mapping such as"),
        (
            {"network": lambda: nn.GRU(6, 2)},
            "nothing of the network can be removed: the network itself (GRU) reaches the network's",
        ),
        (
            {"network": lambda: nn.Linear(5, 2)},
            "the network cannot be followed: RuntimeError: mat1 and mat2 shapes cannot be",
        ),
    ],
)
def test_what_no_offspring_can_be_made_of_ends_before_any_training(changes, words, lineage):
    drawn = []

    def loader(generator):
        drawn.append(generator)
        return [(INPUTS, TARGETS)]

    failure = lost(lineage, lambda: task(loader=loader, **changes))
    assert failure["fatal"] and failure["reason"].startswith(words)
    assert "\n" not in failure["reason"] and not drawn
