"""Small grey images in memory: handwritten digits, MNIST and Fashion-MNIST.

Each data set is split into training, validation and test images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from nni_stress.utils.module_modes import evaluating

from .decoded import decode_once
from .grey import GREY, check_folder, grey_files, hold_out, read_grey

NAMES = ("digits", *GREY)


class Split(NamedTuple):
    """Images, N x 1 x 28 x 28 with mean 0 and deviation 1, and N labels."""

    images: Tensor
    labels: Tensor


class Images(NamedTuple):
    """The three splits of a data set."""

    train: Split
    validation: Split
    test: Split


class Batches:
    """Shuffled batches of one epoch; examples that do not fill a last batch are left out.

    Parameters
    ----------
    split
        Images and labels.
    batch_size
        Number of examples in a batch.
    generator
        Source of the order and the shifts.
    shift
        If positive, the images of each batch are shifted together, by up to this many pixels in
        each direction.

    Examples
    --------
    >>> split = Split(torch.zeros(10, 1, 28, 28), torch.arange(10))
    >>> [len(labels) for _, labels in Batches(split, 4, torch.Generator())]
    [4, 4]
    """

    def __init__(
        self, split: Split, batch_size: int, generator: torch.Generator, shift: int = 0
    ) -> None:
        self._split = split
        self._batch_size = batch_size
        self._generator = generator
        self._shift = shift

    def __len__(self) -> int:
        return len(self._split.labels) // self._batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._split.labels), generator=self._generator)
        for indices in order[: len(self) * self._batch_size].view(len(self), -1):
            images = self._split.images[indices]
            if self._shift:
                images = self._shift_randomly(images)
            yield images, self._split.labels[indices]

    def _shift_randomly(self, images: Tensor) -> Tensor:
        shifts = torch.randint(-self._shift, self._shift + 1, (2,), generator=self._generator)
        return torch.roll(images, tuple(shifts.tolist()), (2, 3))


def load_images(name: str, folder: str | None = None) -> Images:
    """Read a data set.

    Parameters
    ----------
    name
        ``digits`` (scikit-learn's 1,797 handwritten digits, resized to 28x28), ``mnist`` or
        ``fashion-mnist``.
    folder
        Folder of ``mnist`` or ``fashion-mnist``, as torchvision stores it, or with the four IDX
        files themselves. Without it the data set is downloaded if it is not found.

    Returns
    -------
    Images
        Training, validation and test images. The split is the same each time.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or lacks the data set.
    ValueError
        If the name is none of the three, or a file is damaged.

    Examples
    --------
    >>> load_images("digits").train.images.shape
    torch.Size([997, 1, 28, 28])
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, but got {name!r}")
    check_folder(folder)
    if name == "digits":
        return _load_digits()
    tensors = decode_once(
        f"{name}-normalised",
        grey_files(name, folder),
        lambda: [tensor for split in _load_normalised(name, folder) for tensor in split],
    )
    return Images(*(Split(images, labels) for images, labels in zip(tensors[::2], tensors[1::2])))


def _load_normalised(name: str, folder: str | None) -> Images:
    train, test = (
        Split(images[:, None].float().div_(255), labels)
        for images, labels in read_grey(name, folder)
    )
    mean, deviation = train.images.mean(), train.images.std()
    train, test = (
        Split((split.images - mean) / deviation, split.labels) for split in (train, test)
    )
    kept, validation = hold_out(len(train.labels))
    return Images(_take(train, kept), _take(train, validation), test)


def _take(split: Split, indices: Tensor) -> Split:
    return Split(split.images[indices], split.labels[indices])


def _load_digits() -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div_(16)[:, None]
    images = functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    images = (images - images.mean()) / images.std()
    everything = Split(images, torch.from_numpy(digits.target).long())
    order = torch.randperm(len(everything.labels), generator=torch.Generator().manual_seed(0))
    return Images(*(_take(everything, indices) for indices in order.split([997, 400, 400])))


def accuracy(network: nn.Module, split: Split) -> float:
    """Share of a split's images that a network classifies correctly, in [0, 1]."""
    return accuracy_on_batches(network, zip(split.images.split(1000), split.labels.split(1000)))


@torch.no_grad()
def accuracy_on_batches(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Share of images that a network, in evaluation mode, classifies correctly.

    Parameters
    ----------
    network
        Network that returns logits. Its mode is restored.
    batches
        Batches of (images, labels).

    Returns
    -------
    float
        Accuracy in [0, 1].

    Examples
    --------
    >>> logits, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    >>> accuracy_on_batches(nn.Identity(), [(logits, labels)])
    0.75
    """
    correct = 0
    count = 0
    with evaluating(network):
        for images, labels in batches:
            correct += int((network(images).argmax(1) == labels).sum())
            count += len(labels)
    return correct / count
