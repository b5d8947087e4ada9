"""One trial of your network's evolution. NNI runs it: `nnictl create --config stress.yml`."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split

from nni_stress import Task, run_trial

torch.set_num_threads(1)  # of this trial: trialConcurrency x threads should be the cores you have


def network():
    """Your network, untrained. A class of your own is as good, in this file or in one that it imports."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def load_data():
    """Your data, the same at every call: training, validation (by which offspring are judged), test (only reported)."""
    digits = load_digits()
    images, labels = torch.tensor(digits.images).float()[:, None] / 16, torch.tensor(digits.target)
    return random_split(
        TensorDataset(images, labels), [997, 400, 400], torch.Generator().manual_seed(0)
    )


def make_task():
    train, validation, test = load_data()
    splits = {"validation": validation[:], "test": test[:]}

    @torch.no_grad()
    def accuracy(network, split):
        """What counts as good, higher being better: of classifiers the accuracy, of detectors the mAP."""
        images, labels = splits[split]
        return float((network.eval()(images).argmax(1) == labels).float().mean())

    return Task(
        network=network,
        example_input=splits["validation"][0][
            :8
        ],  # a batch of inputs; a tuple, if the network takes several
        loader=lambda generator: DataLoader(
            train, 32, shuffle=True, generator=generator
        ),  # batches (inputs, targets)
        loss=functional.cross_entropy,  # of (outputs, targets)
        fidelity=accuracy,
        founder_epochs=10,
        founder_learning_rate=2e-3,
        screening=splits["validation"],  # needed where the search space has candidates above 1
    )


if __name__ == "__main__":
    run_trial(
        make_task
    )  # run_trial(make_task, "founder.safetensors") takes the founder from a file, once it is there
