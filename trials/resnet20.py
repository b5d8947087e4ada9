"""The task of a ResNet-20 on small grey images, for studies and contests."""

from __future__ import annotations

import torch

from nni_stress import Task

from .data import Split, load_images
from .grey_images import classification
from .models.resnet import resnet20


def make_task(
    data: str = "fashion-mnist",
    data_dir: str | None = None,
    batch_size: int = 128,
    founder_epochs: int = 12,
    images: int = 20_000,
) -> Task:
    """Create the task of evolving a ResNet-20 with 272,186 parameters; its fidelity is accuracy.

    Parameters
    ----------
    data
        ``digits``, ``mnist`` or ``fashion-mnist``.
    data_dir
        Folder of the data, see :func:`trials.data.load_images`.
    batch_size
        Number of images in a training batch.
    founder_epochs
        Number of epochs for which the founder is trained.
    images
        Number of training images; there may be fewer.

    Returns
    -------
    nni_stress.Task
        The task.

    Examples
    --------
    >>> make_task("digits", batch_size=32).example_input.shape
    torch.Size([8, 1, 28, 28])
    """
    splits = load_images(data, data_dir)
    train = Split(splits.train.images[:images], splits.train.labels[:images])
    return classification(
        lambda: resnet20().to(memory_format=torch.channels_last),
        splits._replace(train=train),
        batch_size,
        founder_epochs,
        founder_learning_rate=4e-3,
        shift=1,
    )
