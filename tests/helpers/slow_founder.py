"""Train a tiny founder so slowly that it can be killed on the way.

python -m tests.helpers.slow_founder FILE SECONDS_PER_STEP
"""

import sys
import time

import torch
from torch import nn
from torch.nn import functional

from nni_stress import Task
from trials.founders import train_founder


def tiny():
    """A network with dropout, whose training depends on torch's random numbers."""
    return nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.5), nn.Linear(12, 3))


def make_task(pause=0.0, epochs=6, network=tiny, learning_rate=0.05):
    inputs = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    labels = inputs[:, :3].argmax(1)

    class Batches:
        def __init__(self, generator):
            self.generator = generator

        def __len__(self):
            return 5

        def __iter__(self):
            for indices in torch.randperm(40, generator=self.generator).view(5, 8):
                time.sleep(pause)
                yield (
                    inputs[indices] + 0.1 * torch.randn(8, 6, generator=self.generator),
                    labels[indices],
                )

    def fidelity(model, split):
        torch.rand(1)  # a fidelity that draws random numbers must not change the training
        return float((model(inputs).argmax(1) == labels).float().mean())

    return Task(
        network,
        inputs[:4],
        Batches,
        functional.cross_entropy,
        fidelity,
        epochs,
        learning_rate,
        founder_warm_up=0.3,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_founder(make_task(float(sys.argv[2])), sys.argv[1], seed=3)
