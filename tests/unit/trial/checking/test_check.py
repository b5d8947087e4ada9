"""The mistakes of a new user: each gives one line that names what is wrong, and no trial is run."""

import math

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress.lineage.store import Lineage
from nni_stress.trial.checking.check import examine
from nni_stress.trial.checking.plan import Plan
from nni_stress.trial.checking.report import State

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
    "wrong_key": "TypeError|Task has no field 'founder_epoch'; is it 'founder_epochs'? (trial.py, ",
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
    told = []
    make_task = names.get(mistake, names["make_task"])
    checked = examine(make_task, plans.get(mistake, Plan), tell=told.append)
    assert told == list(checked.findings) and str(checked) == "\n".join(map(str, told))
    warned = mistake == "head_not_excluded"  # its outputs stay, whatever is asked for
    (line,) = checked.warnings if warned else checked.faults
    assert MISTAKES[mistake].partition("|")[2] or MISTAKES[mistake] in line
    assert "\n" not in line and checked.ok == warned
