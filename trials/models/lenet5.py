"""LeNet-5 as it comes with Caffe, on which the papers on evolutionary synthesis report."""

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """Two convolutions (20 and 50 filters of 5x5), two linear layers (500 neurons, 10 classes)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * 4 * 4, 500)
        self.fc2 = nn.Linear(500, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, B x 10, from images, B x 1 x 28 x 28."""
        features = self.pool(self.conv1(images))
        features = self.pool(self.conv2(features))
        return self.fc2(torch.relu(self.fc1(features.flatten(1))))


def lenet5() -> nn.Module:
    """Create an untrained LeNet-5, which has 431,080 parameters.

    Returns
    -------
    torch.nn.Module
        Network from B x 1 x 28 x 28 images to B x 10 logits.

    Examples
    --------
    >>> lenet5()(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 10])
    """
    return LeNet5()
