"""A residual network with batch norm for small grey images."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class ResNet20(nn.Module):
    """Three stages of three blocks of two 3x3 convolutions (He et al., arXiv 1512.03385, 4.2).

    Where a stage halves the image, its shortcut is a 1x1 convolution, as torchvision's is.

    Parameters
    ----------
    width
        Number of channels of the first stage; the others have two and four times as many.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.stages = nn.Sequential(
            _stage(width, width, 1), _stage(width, 2 * width, 2), _stage(2 * width, 4 * width, 2)
        )
        self.head = nn.Linear(4 * width, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Compute logits, B x 10, from images, B x 1 x 28 x 28."""
        return self.head(self.stages(self.stem(images)).mean((2, 3)))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        )
    first = BasicBlock(inputs, outputs, stride, shortcut)
    return nn.Sequential(first, BasicBlock(outputs, outputs), BasicBlock(outputs, outputs))


def resnet20(width: int = 16) -> nn.Module:
    """Create an untrained ResNet-20.

    Parameters
    ----------
    width
        Number of channels of the first stage.

    Returns
    -------
    torch.nn.Module
        Network from B x 1 x 28 x 28 images to B x 10 logits.

    Examples
    --------
    >>> import torch
    >>> network = resnet20()
    >>> network(torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 10])
    >>> sum(parameter.numel() for parameter in network.parameters())
    272186
    """
    return ResNet20(width)
