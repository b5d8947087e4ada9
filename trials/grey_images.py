"""The task of classifying small grey images, whatever the network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn import functional

from nni_stress import Task

from .data import Batches, Images, accuracy

_SCREENING_IMAGES = 640  # validation images on which candidates are judged


def classification(
    network: Callable[[], nn.Module],
    images: Images,
    batch_size: int,
    founder_epochs: int,
    founder_learning_rate: float,
    shift: int,
) -> Task:
    """Create the task of evolving a network; its fidelity is accuracy.

    Parameters
    ----------
    network
        Makes the founder's network, untrained.
    images
        The data.
    batch_size
        Number of images in a training batch.
    founder_epochs, founder_learning_rate
        Training of the founder.
    shift
        By how many pixels the images of a training batch are shifted at most.

    Examples
    --------
    >>> from nni_stress.trials.data import load_images
    >>> task = classification(nn.Flatten, load_images("digits"), 32, 1, 1e-3, shift=0)
    >>> task.example_input.shape
    torch.Size([8, 1, 28, 28])
    """
    validation = images.validation
    return Task(
        network=network,
        example_input=validation.images[:8],
        loader=lambda generator: Batches(images.train, batch_size, generator, shift),
        loss=functional.cross_entropy,
        fidelity=lambda network, split: accuracy(network, getattr(images, split)),
        founder_epochs=founder_epochs,
        founder_learning_rate=founder_learning_rate,
        screening=(validation.images[:_SCREENING_IMAGES], validation.labels[:_SCREENING_IMAGES]),
    )
