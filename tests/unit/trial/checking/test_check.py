"""The mistakes of a new user: each gives one line that names what is wrong, and no trial is run."""

import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nni_stress
from nni_stress.lineage.store import Lineage
from nni_stress.trial.checking.check import examine
from nni_stress.trial.checking.plan import Plan

TRIAL = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from nni_stress import Task

INPUTS = torch.rand(96, 6, generator=torch.Generator().manual_seed(0))
LABELS = INPUTS.argmax(1)

def network():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 6))

def accuracy(network, split):
    return float((network.eval()(INPUTS).argmax(1) == LABELS).float().mean())

def make_task(**changes):
    data = TensorDataset(INPUTS, LABELS)
    settings = dict(
        network=network,
        example_input=INPUTS[:4],
        loader=lambda generator: DataLoader(data, 8, shuffle=True, generator=generator),
        loss=nn.functional.cross_entropy,
        fidelity=accuracy,
        founder_epochs=2,
        founder_learning_rate=1e-2,
    )
    return Task(**{**settings, **changes})

def wrong_key():
    return make_task(founder_epoch=3)

def wrong_logits():
    return make_task(network=lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 5)))

def nan_loss():
    return make_task(loss=lambda outputs, labels: (outputs.softmax(1) - 2).log().mean())

def wrong_fidelity():
    return make_task(fidelity=lambda network, split: {"accuracy": accuracy(network, split)})

def no_length():
    return make_task(loader=lambda generator: (batch for batch in [(INPUTS, LABELS)]))

def missing_data():
    return make_task(example_input=torch.load("digits.pt"))

def missing_import():
    import torchvisoin

def nothing_goes():
    return make_task(network=lambda: nn.Linear(6, 6))

def misspelt_type():
    return make_task(clusters={"op_types": ["Linaer"]})

def head_not_excluded():
    return make_task(clusters={"op_names": ["0", "3"]})
"""
MISTAKES = {
    "wrong_key": "Task has no field 'founder_epoch'; is it 'founder_epochs'? (trial.py, ",
    "wrong_logits": "Task.loss must take the network's outputs, (8, 5) float32, and a batch's "
    "targets, (8) int64 from 0 to 5, but raised IndexError: Target 5 is out of bounds.",
    "nan_loss": "Task.loss must be finite, but is nan for outputs, (8, 6) float32, and a batch's "
    "targets, (8) int64 from ",
    "wrong_fidelity": "Task.fidelity must return one number, higher for a better network, but "
    "returned a dict for the split 'validation'",
    "no_length": "Task.loader must return batches that have a length, such as a list, or a "
    "DataLoader whose data set has one, but returned a generator: ",
    "missing_data": "FileNotFoundError: [Errno 2] No such file or directory: 'digits.pt' (trial.py",
    "missing_import": "ModuleNotFoundError: No module named 'torchvisoin' (trial.py, line ",
    "nothing_goes": "nothing of the network can be removed: the network itself (Linear) reaches",
    "misspelt_type": "Task.clusters: op_types must name types of layers, but 'Linaer' is none; is "
    "it 'Linear'?",
    "too_strong": "environmental_factor must leave what must stay, but 0.01 of macs cannot be kept "
    "to: the least the layers can keep is 12 MACs where 2 are allowed, of which 6 MACs in 0",
    "head_not_excluded": "Task.clusters names '3', whose outputs are those of the network: they "
    "stay; leave it out",
    "second_run": " already holds a lineage; name another folder, or go on by `nnictl resume`",
}
STRONG = {"environmental_factor": {"_type": "choice", "_value": [0.5, 0.01]}}


@pytest.fixture(autouse=True)
def without_onnx(monkeypatch):
    """Leave out the step that takes seconds; the check of a script has it."""
    monkeypatch.setitem(sys.modules, "onnxscript", None)


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Return what the trial's script defines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.py").write_text(TRIAL)
    found = {}
    exec(compile(TRIAL, tmp_path / "trial.py", "exec"), found)
    return found


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_line(mistake, names, tmp_path):
    Lineage(tmp_path / "used").update_state(generation=1)
    plans = {
        "too_strong": lambda: Plan.of({"resource": "macs"}, STRONG),
        "second_run": lambda: Plan.of({"folder": str(tmp_path / "used")}),
    }
    torch.manual_seed(3)
    before = torch.get_rng_state()
    told = []
    make_task = names.get(mistake, names["make_task"])
    checked = examine(make_task, plans.get(mistake, Plan), tell=told.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert told == list(checked.findings) and str(checked) == "\n".join(map(str, told))
    warned = mistake == "head_not_excluded"  # its outputs stay, whatever is asked for
    (line,) = checked.warnings if warned else checked.faults
    assert MISTAKES[mistake] in line and "\n" not in line and checked.ok == warned


IMAGES, LABELS = torch.rand(40, 1, 8, 8), torch.randint(3, (40,))


def convolutional(**changes):
    def accuracy(network, split):
        return float((network.eval()(IMAGES).argmax(1) == LABELS).float().mean())

    norms = [nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()]
    settings = {
        "network": lambda: nn.Sequential(*norms, nn.Flatten(), nn.Linear(128, 3)),
        "example_input": IMAGES[:2],
        "loader": lambda generator: DataLoader(
            TensorDataset(IMAGES, LABELS), 10, shuffle=True, generator=generator
        ),
        "loss": nn.functional.cross_entropy,
        "fidelity": accuracy,
        "founder_epochs": 1,
        "founder_learning_rate": 1e-2,
        "screening": (IMAGES, LABELS),
    }
    return nni_stress.Task(**{**settings, **changes})


def in_training_mode(network, split):
    return float((network(IMAGES).argmax(1) == LABELS).float().mean())


SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.3, 0.5]},
    "candidates": {"_type": "choice", "_value": [1, 9]},
    "recovery_epochs": {"_type": "choice", "_value": [2, 4]},
}


def test_a_right_task_has_no_fault_and_a_cost(tmp_path):
    founder = tmp_path / "founder.safetensors"
    small = nni_stress.check(convolutional(), space=SPACE, generations=2, resource="macs")
    assert small.ok and not small.warnings and "not checked, as onnxscript" in repr(small)
    nni_stress.save(convolutional().network(), founder)
    large = nni_stress.check(
        convolutional(), space=SPACE, generations=20, founder=founder, maturation_epochs=1.5
    )
    assert large.ok and large.estimate.founder_seconds < small.estimate.founder_seconds
    assert large.estimate.seconds > 3 * small.estimate.seconds > 0
    assert "to save macs\n" in repr(small) and ", then 1.5 epochs of maturation\n" in repr(large)
    assert large.estimate.disk_bytes > small.estimate.disk_bytes > founder.stat().st_size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"founder_epochs": "3"}, "Task.founder_epochs must be a number of at least 0, but is '3'"),
        ({"loader": [(IMAGES, LABELS)]}, "Task.loader must be a function, but is a list of 1"),
        ({"example_input": None}, "Task.example_input must be a batch of inputs, a tensor or a"),
        ({"device": "gpu"}, "Task.device must be a device of PyTorch that this process sees, but"),
        ({"network": lambda: 1 / 0}, "return a torch.nn.Module, but raised ZeroDivisionError"),
        (
            {"example_input": IMAGES[:2, 0]},
            "Task.network must run on Task.example_input, (2, 8, 8)",
        ),
        ({"loader": lambda: []}, "Task.loader must return batches (inputs, targets), given a tor"),
        ({"loader": lambda _: [(IMAGES / 0, LABELS)]}, "Task.loader must give finite inputs, but"),
        ({"founder_learning_rate": 1e30}, "training with Task.founder_learning_rate=1e+30: the "),
        ({"optimizer": lambda weights: None}, "Task.optimizer must make an optimizer of (param"),
        ({"fidelity": in_training_mode}, "Task.fidelity must leave the network as it is, but"),
        ({"screening": (IMAGES, LABELS[:3])}, "Task.screening: screening needs as many targets"),
        ({"screening": None}, "candidates=9 needs Task.screening, a batch to judge them on"),
        ({"clusters": {"op_types": ["Conv2d"], "exclude_op_names": ["9"]}}, "but '9' is none"),
    ],
)
def test_a_wrong_field_is_named(changes, words):
    checked = nni_stress.check(convolutional(**changes), space=SPACE)
    (line,) = checked.faults
    assert words in line and "\n" not in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"generation": 3}, "unknown argument 'generation' of StressTuner; known are"),
        ({"space": {"temprature": 1}}, "unknown stress parameter 'temprature'"),
        ({"target_efficiency": 1e4}, "target_efficiency must be at most "),
        ({"constraints": {"macs": 1e-5}}, "constraints: macs must be at least "),
    ],
)
def test_a_wrong_plan_is_named(arguments, words):
    checked = nni_stress.check(convolutional(), **arguments)
    (line,) = checked.faults
    assert words in line


def test_what_may_not_be_meant_is_a_warning():
    def loader(generator):
        torch.seed()  # and so not by the generator
        return [(IMAGES[torch.randperm(40)], LABELS.float())]

    checked = nni_stress.check(
        convolutional(
            network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 1)),
            loader=loader,
            loss=nn.functional.mse_loss,  # of (40, 1) and (40): each is compared with each
            fidelity=lambda network, split: 50.0,
        )
    )
    words = ("Task.loader must draw from the generator", "Task.loss, for outputs, (40, 1)")
    for line, part in zip(checked.warnings, (*words, "Task.fidelity: "), strict=True):
        assert line.startswith(part)
    assert checked.ok


def test_the_folder_of_an_evolution_must_be_new(tmp_path):
    Lineage(tmp_path).update_state(experiment=None)
    (line,) = nni_stress.check(convolutional(), tmp_path).faults
    assert "already holds a lineage; name another folder, or go on by resume=True" in line
    assert nni_stress.check(convolutional(), tmp_path, resume=True).ok


def test_anything_but_a_task_is_named():
    assert nni_stress.check(42).faults == ["check takes an nni_stress.Task, but got a int"]
