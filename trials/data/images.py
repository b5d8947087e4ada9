"""Small grey images in memory: handwritten digits, MNIST and Fashion-MNIST, split train / validation / test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nni_stress.utils.module_modes import evaluating

from .decoded import decoded
from .grey import GREY, check_folder, grey_files, held_out, read_grey

NAMES = ("digits", *GREY)


class Split(NamedTuple):
    """Images, N x 1 x 28 x 28, normalised; labels, N."""

    images: Tensor
    labels: Tensor


class Images(NamedTuple):
    train: Split
    validation: Split
    test: Split


class Batches:
    """Shuffled batches of one epoch; the last, smaller batch is left out."""

    def __init__(self, split: Split, batch_size: int, generator: torch.Generator, shift: int = 0):
        self._split, self._size, self._generator, self._shift = split, batch_size, generator, shift

    def __len__(self) -> int:
        return len(self._split.labels) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._split.labels), generator=self._generator)
        for indices in order[: len(self) * self._size].view(len(self), -1):
            images = self._split.images[indices]
            yield (self._shifted(images) if self._shift else images), self._split.labels[indices]

    def _shifted(self, images: Tensor) -> Tensor:
        """The batch, moved by up to `shift` pixels each way."""
        down, right = torch.randint(
            -self._shift, self._shift + 1, (2,), generator=self._generator
        ).tolist()
        return torch.roll(images, (down, right), (2, 3))


def load_images(name: str, folder: str | None = None) -> Images:
    """Read a data set.

    Parameters
    ----------
    name
        ``digits`` (scikit-learn's 1,797 handwritten digits, resized to 28x28), ``mnist`` or ``fashion-mnist``.
    folder
        For the last two: where torchvision finds or puts them; a folder with the four IDX files themselves will do.

    Raises
    ------
    FileNotFoundError
        If a folder was named that does not exist, or lacks the data set.
    ValueError
        If the name is none of the three.
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, but got {name!r}")
    check_folder(folder)
    if name == "digits":
        return _digits()
    parts = decoded(
        f"{name}-normalised",
        grey_files(name, folder),
        lambda: [tensor for split in _normalised(name, folder) for tensor in split],
    )
    return Images(*(Split(images, labels) for images, labels in zip(parts[::2], parts[1::2])))


def _normalised(name: str, folder: str | None) -> Images:
    train, test = (
        Split(images[:, None].float().div_(255), labels)
        for images, labels in read_grey(name, folder)
    )
    mean, deviation = train.images.mean(), train.images.std()
    train, test = (Split((s.images - mean) / deviation, s.labels) for s in (train, test))
    kept, validation = held_out(len(train.labels))
    return Images(_take(train, kept), _take(train, validation), test)


def _take(split: Split, indices: Tensor) -> Split:
    return Split(split.images[indices], split.labels[indices])


def _digits() -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div_(16)[:, None]
    images = functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    everything = Split(
        (images - images.mean()) / images.std(), torch.from_numpy(digits.target).long()
    )
    order = torch.randperm(len(everything.labels), generator=torch.Generator().manual_seed(0))
    return Images(*(_take(everything, part) for part in order.split([997, 400, 400])))


def accuracy(network: torch.nn.Module, split: Split) -> float:
    """Share of the split's images that the network classifies rightly, in [0, 1]."""
    return share_right(network, zip(split.images.split(1000), split.labels.split(1000)))


@torch.no_grad()
def share_right(network: torch.nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Share of the images in batches of (images, labels) that the network classifies rightly, in [0, 1]."""
    right = count = 0
    with evaluating(network):
        for images, labels in batches:
            right, count = (
                right + int((network(images).argmax(1) == labels).sum()),
                count + len(labels),
            )
    return right / count
