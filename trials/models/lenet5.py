"""The LeNet-5 that comes with Caffe, on which the paper's line of work reports."""

import torch
from torch import nn


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images):
        features = self.pool(self.conv1(images))
        features = self.pool(self.conv2(features))
        return self.fc2(torch.relu(self.fc1(features.flatten(1))))


def lenet5() -> nn.Module:
    """20 and 50 filters of 5x5, 500 neurons, 10 classes: 431,080 synapses and biases at 1x28x28."""
    return LeNet5()
