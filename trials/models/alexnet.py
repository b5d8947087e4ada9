"""AlexNet as torchvision builds it ("One weird trick for parallelizing convolutional neural networks")."""

from torch import nn


def alexnet(num_classes: int = 10) -> nn.Module:
    """57,044,810 synapses and biases at 10 classes; images of 3 x 63 x 63 or larger, 224 x 224 by design."""
    from torchvision.models import AlexNet

    return AlexNet(num_classes=num_classes)
