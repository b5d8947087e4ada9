"""A trial of your network: `python3 trial.py --check`, then `nnictl create --config stress.yml`."""

from nni_stress import Task, run_trial  # first, so that --check tells in one line what follows

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.set_num_threads(1)  # for each trial; trialConcurrency x threads should be your cores


def network():
    """Return your network, untrained. Its class may be in this file or in one that it imports."""
    convolution = [nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()]
    convolution += [nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    hidden = [nn.Linear(64 * 4 * 4, 128), nn.ReLU(), nn.Dropout(0.2)]
    return nn.Sequential(*convolution, nn.MaxPool2d(2), nn.Flatten(), *hidden, nn.Linear(128, 10))


def load_data():
    """Return your training, validation and test data; the same at every call.

    Validation data decides which offspring survive. Test data is only reported.
    """
    digits = load_digits()
    images = torch.tensor(digits.images).float()[:, None] / 16
    data = TensorDataset(images, torch.tensor(digits.target))
    return random_split(data, [997, 400, 400], torch.Generator().manual_seed(0))


def make_task():
    """Return what the trial needs to know about your network."""
    train, validation, test = load_data()
    splits = {"validation": validation[:], "test": test[:]}

    @torch.no_grad()
    def accuracy(network, split):
        """Return the fidelity (the higher, the better): accuracy, or a detector's mAP."""
        images, labels = splits[split]
        return float((network.eval()(images).argmax(1) == labels).float().mean())

    return Task(
        network=network,
        example_input=splits["validation"][0][:8],  # a batch; a tuple if there are several inputs
        loader=lambda generator: DataLoader(train, 32, shuffle=True, generator=generator),
        loss=functional.cross_entropy,  # of (outputs, targets), for a batch (inputs, targets)
        fidelity=accuracy,
        founder_epochs=10,
        founder_learning_rate=2e-3,
        screening=splits["validation"],  # needed if the search space has candidates above 1
    )


if __name__ == "__main__":
    run_trial(make_task)  # a second argument, "founder.safetensors", names a trained founder's file
