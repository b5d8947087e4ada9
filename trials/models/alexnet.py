"""AlexNet as torchvision implements it.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv 1404.5997.
"""

from torch import nn


def alexnet(num_classes: int = 10) -> nn.Module:
    """Create an untrained AlexNet.

    It has 57,044,810 parameters at 10 classes.

    Parameters
    ----------
    num_classes
        Number of classes.

    Returns
    -------
    torch.nn.Module
        Network from B x 3 x H x W images to B x num_classes logits. H and W must be at least 63;
        the architecture was designed for 224.
    """
    from torchvision.models import AlexNet

    return AlexNet(num_classes=num_classes)
