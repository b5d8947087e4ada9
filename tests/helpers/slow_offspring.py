"""Make a founder and an offspring of it so slowly that the process can be killed on the way.

python -m tests.helpers.slow_offspring LINEAGE TASK SECONDS_PER_BATCH
"""

import dataclasses
import random
import sys
import time
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from nni_stress import Task
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.lineage.trial_spec import TrialSpec

# Some import of NNI's draws from Python's global generator: it must not happen between trials.
from nni_stress.pruning import pruner  # noqa: F401
from nni_stress.trial import snapshots
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring

EPOCHS = {"stress_epochs": 3.5, "recovery_epochs": 3.5, "environmental_factor": 0.5}
UID = "g001-00"
# Each of these has state that a snapshot must not forget.
ARGUMENTS = {
    "norms": {"stressor": "nested_silence", "strength": "taylor"},
    "dropout": {"stressor": "silence", "candidates": 4},
    "layers": {"stressor": "weaken", "stress_onset": 0.0, "stress_ramp": 0.9},
    "tied": {"stressor": "attenuate", "stress_onset": 0.0, "stress_ramp": 0.2},
}


class WithNorms(nn.Module):
    """Convolutions with batch norms and a residual connection."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.out = nn.Linear(8, 3)

    def forward(self, images):
        hidden = functional.relu(self.norm(self.first(images)))
        hidden = hidden + functional.relu(self.second(hidden))
        return self.out(hidden.mean((2, 3)))


class WithDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 3, stride=2)
        self.hidden = nn.Linear(12 * 9, 24)
        self.dropout = nn.Dropout(0.4)
        self.out = nn.Linear(24, 3)

    def forward(self, images):
        hidden = self.dropout(functional.relu(self.conv(images)).flatten(1))
        return self.out(self.dropout(functional.relu(self.hidden(hidden))))


def layers():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3)
    )


class Tied(nn.Module):
    """A parameter that has two names."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 32)
        self.hidden = nn.Linear(32, 24)
        self.once = nn.Linear(24, 24)
        self.again = nn.Linear(24, 24)
        self.again.weight = self.once.weight
        self.out = nn.Linear(24, 3)

    def forward(self, images):
        hidden = functional.relu(self.hidden(functional.relu(self.first(images.flatten(1)))))
        return self.out(functional.relu(self.again(functional.relu(self.once(hidden)))))


class Momentum(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr, momentum=0.9, weight_decay=1e-4)


def make_task(name, pause=0.0):
    """A task whose loader draws from every generator there is, at its very end, too."""
    inputs = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = inputs[:, 0, 0, :3].argmax(1)
    data = TensorDataset(inputs, labels)
    random.seed(0)
    np.random.seed(0)

    class Batches(DataLoader):
        def __iter__(self):
            for images, wanted in super().__iter__():
                time.sleep(pause)
                noise = np.random.normal()
                if name == "dropout":  # the first trial of a process may draw from this itself
                    noise += random.random()
                yield images + 0.01 * noise * torch.rand(1), wanted

    def fidelity(model, split):
        model.eval()
        torch.rand(1)  # what is drawn while a network is judged changes the training
        return float((model(inputs).argmax(1) == labels).float().mean())

    networks = {"norms": WithNorms, "dropout": WithDropout, "layers": layers, "tied": Tied}
    task = Task(
        network=networks[name],
        example_input=inputs[:2],
        loader=lambda generator: Batches(data, 8, shuffle=True, generator=generator),
        loss=functional.cross_entropy,
        fidelity=fidelity,
        founder_epochs=3,
        founder_learning_rate=1e-2,
        screening=(inputs, labels),
    )
    if name in ("norms", "tied"):
        task = dataclasses.replace(task, optimizer=Momentum)
    if name == "tied":
        task = dataclasses.replace(task, clusters={"op_names": ["first"]})
    return task


def specs(name):
    arguments = {**EPOCHS, **ARGUMENTS[name]}
    return (
        TrialSpec(FOUNDER, 0, None, None, 0, {}),
        TrialSpec(UID, 1, FOUNDER, None, 0, arguments, early_ending=True),
    )


def make(folder, name, pause=0.0, uids=(FOUNDER, UID)):
    """Make what is missing of a founder and an offspring; snapshots are taken at each epoch."""
    lineage = Lineage(folder)
    with patch.multiple(snapshots, EVERY=0.0, SHARE=1e9):
        for spec, made_by in zip(specs(name), (make_founder, make_offspring)):
            if spec.uid in uids and lineage.record(spec.uid) is None:
                arguments = (make_task(name, pause), spec, lineage)
                made_by(*arguments, None) if spec.uid == FOUNDER else made_by(*arguments)
    return lineage


if __name__ == "__main__":
    torch.set_num_threads(1)
    make(sys.argv[1], sys.argv[2], float(sys.argv[3]))
