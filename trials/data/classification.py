"""Data sets for classification by AlexNet and its like: three channels, any size, split train / validation / test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from .grey import check_folder, held_out, read_grey
from .pixels import Look, Pixels, PlainBatches, TrainingBatches

# Mean and deviation of the training images in [0, 1], and how much an image is padded before it is cropped.
_KNOWN = {
    "fashion-mnist": ((0.2860,), (0.3530,), 2),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4),
    "stl10": ((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713), 12),
}
SIZES = {"fashion-mnist": 64, "cifar10": 64, "stl10": 96, "imagefolder": 224}
_LEAST = 63  # below, AlexNet's last pooling would leave nothing


class Classification(Protocol):
    """The splits of a data set."""

    classes: tuple[str, ...]

    def train(self, batch_size: int, generator: torch.Generator) -> Iterable[tuple[Tensor, Tensor]]:
        """Shuffled, augmented batches (B x 3 x S x S, B) of one epoch; the generator decides all of it."""

    def plain(self, split: str) -> Iterable[tuple[Tensor, Tensor]]:
        """Batches of "validation" or "test", in order, without augmentation."""


class PixelImages:
    """A data set in memory: see :class:`Classification`."""

    def __init__(
        self, train: Pixels, test: Pixels, look: Look, padding: int, classes: tuple[str, ...]
    ):
        kept, validation = held_out(len(train.labels))
        self.classes, self._look, self._padding = classes, look, padding
        self._train, self._plain = (
            train.take(kept),
            {"validation": train.take(validation), "test": test},
        )

    def train(self, batch_size: int, generator: torch.Generator) -> TrainingBatches:
        return TrainingBatches(self._train, self._look, batch_size, self._padding, generator)

    def plain(self, split: str) -> PlainBatches:
        return PlainBatches(self._plain[split], self._look)


def load_classification(
    name: str, folder: str | None = None, size: int | None = None, workers: int = 0
) -> Classification:
    """Read a data set.

    Parameters
    ----------
    name
        ``fashion-mnist``, ``cifar10``, ``stl10`` or ``imagefolder``.
    folder
        Where it is, as torchvision keeps it; ``fashion-mnist`` needs none. ``imagefolder`` holds folders train and test (or
        val), each with a folder of images for each class. CIFAR-10's files are pickles, which can run code: torchvision
        opens them only where their MD5 sums are those of the published files.
    size
        Of the network's images in pixels, at least 63; by default 64, 64, 96 and 224.
    workers
        Processes that read an ``imagefolder``'s training images; 0 is the training process itself.

    Raises
    ------
    FileNotFoundError
        If no folder was named that is needed, or it lacks the data set.
    ValueError
        If the name is none of the four, the size too small, or the data are damaged.
    """
    if name not in SIZES:
        raise ValueError(f"data must be one of {', '.join(SIZES)}, but got {name!r}")
    size = SIZES[name] if size is None else size
    if size < _LEAST:
        raise ValueError(f"image size must be at least {_LEAST}, but got {size}")
    if folder is None and name != "fashion-mnist":
        raise FileNotFoundError(f"{name} needs a data folder, but none was named")
    check_folder(folder)
    if name == "imagefolder":
        from .image_folders import FolderImages

        return FolderImages(folder, size, workers)
    mean, deviation, padding = _KNOWN[name]
    train, test, classes = {"fashion-mnist": _fashion, "cifar10": _cifar10, "stl10": _stl10}[name](
        folder
    )
    return PixelImages(train, test, Look(size, mean, deviation), padding, classes)


def first(batches: Iterable[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """The first examples, or all if they are fewer, as one batch."""
    images, labels, found = [], [], 0
    for image, label in batches:
        images, labels, found = [*images, image], [*labels, label], found + len(label)
        if found >= count:
            break
    return torch.cat(images)[:count], torch.cat(labels)[:count]


def _fashion(folder: str | None) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import FashionMNIST

    train, test = (
        Pixels(images[:, None], labels) for images, labels in read_grey("fashion-mnist", folder)
    )
    return train, test, tuple(FashionMNIST.classes)


def _cifar10(folder: str) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import CIFAR10

    train, test = (_parsed("cifar10", CIFAR10, folder, train=train) for train in (True, False))
    pixels = (
        Pixels(torch.from_numpy(part.data).permute(0, 3, 1, 2), torch.tensor(part.targets))
        for part in (train, test)
    )
    return *pixels, tuple(train.classes)


def _stl10(folder: str) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import STL10

    class Labelled(STL10):
        """Its 100,000 images without labels, 2.6 GB, are neither needed nor checked."""

        train_list = STL10.train_list[:2]

    train, test = (_parsed("stl10", Labelled, folder, split=split) for split in ("train", "test"))
    classes = tuple(getattr(train, "classes", ())) or tuple(str(number) for number in range(10))
    return *(
        Pixels(torch.from_numpy(part.data), torch.from_numpy(part.labels).long())
        for part in (train, test)
    ), classes


def _parsed(name: str, dataset: type, folder: str, **which):
    try:
        return dataset(folder, **which)
    except (RuntimeError, OSError, ValueError) as error:
        reason = (
            "not found, or a file of another MD5 sum"
            if "not found or corrupted" in str(error)
            else str(error)
        )
        raise FileNotFoundError(f"no {name} data in {folder}: {reason}") from None
