"""Data sets for classification: three-channel images of any size, for AlexNet and the like.

Each data set is split into training, validation and test images.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from nni_stress.utils.messages import one_line

from .grey import check_folder, hold_out, read_grey
from .pixels import EvaluationBatches, Pixels, Preprocessing, TrainingBatches

SIZES = {"fashion-mnist": 64, "cifar10": 64, "stl10": 96, "imagefolder": 224}
_MIN_SIZE = 63  # smaller images leave nothing for AlexNet's last pooling layer


class _Statistics(NamedTuple):
    mean: tuple[float, ...]  # of the training images in [0, 1], one per channel
    deviation: tuple[float, ...]
    padding: int  # pixels added at each edge before a random crop


_STATISTICS = {
    "fashion-mnist": _Statistics((0.2860,), (0.3530,), 2),
    "cifar10": _Statistics((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4),
    "stl10": _Statistics((0.4467, 0.4398, 0.4066), (0.2603, 0.2566, 0.2713), 12),
}


class ClassificationData(Protocol):
    """A data set for classification.

    Attributes
    ----------
    classes
        Names of the classes.
    """

    classes: tuple[str, ...]

    def training_batches(
        self, batch_size: int, generator: torch.Generator
    ) -> Iterable[tuple[Tensor, Tensor]]:
        """Shuffled, augmented batches of one epoch, which depend on the generator alone.

        Each is a pair of images, B x 3 x S x S, and labels, B.
        """

    def evaluation_batches(self, split: str) -> Iterable[tuple[Tensor, Tensor]]:
        """Batches of "validation" or "test" in order, without augmentation."""


class InMemoryImages:
    """A :class:`ClassificationData` whose images are all in memory.

    Parameters
    ----------
    train
        Training images; a twelfth is held out for validation.
    test
        Test images.
    preprocessing
        Conversion of bytes to the network's input.
    padding
        Number of black pixels at each edge before a random crop.
    classes
        Names of the classes.
    """

    def __init__(
        self,
        train: Pixels,
        test: Pixels,
        preprocessing: Preprocessing,
        padding: int,
        classes: tuple[str, ...],
    ) -> None:
        kept, validation = hold_out(len(train.labels))
        self.classes = classes
        self._preprocessing = preprocessing
        self._padding = padding
        self._train = train.take(kept)
        self._evaluation = {"validation": train.take(validation), "test": test}

    def training_batches(self, batch_size: int, generator: torch.Generator) -> TrainingBatches:
        """Shuffled, augmented batches of one epoch, which depend on the generator alone."""
        return TrainingBatches(
            self._train, self._preprocessing, batch_size, self._padding, generator
        )

    def evaluation_batches(self, split: str) -> EvaluationBatches:
        """Batches of "validation" or "test" in order, without augmentation."""
        return EvaluationBatches(self._evaluation[split], self._preprocessing)


def load_classification(
    name: str, folder: str | None = None, size: int | None = None, workers: int = 0
) -> ClassificationData:
    """Read a data set.

    Parameters
    ----------
    name
        ``fashion-mnist``, ``cifar10``, ``stl10`` or ``imagefolder``.
    folder
        Folder of the data set as torchvision stores it; ``fashion-mnist`` needs none. An
        ``imagefolder`` holds folders train and test (or val), each with a folder of images for each
        class. CIFAR-10's files are pickles, which can run code: torchvision opens them only if
        their MD5 sums are those of the published files.
    size
        Height and width of the network's input in pixels, at least 63; by default 64, 64, 96 and
        224.
    workers
        Number of processes that read an ``imagefolder``'s training images; 0 reads in the training
        process.

    Returns
    -------
    ClassificationData
        The data set.

    Raises
    ------
    FileNotFoundError
        If the folder is needed and missing, or lacks the data set.
    ValueError
        If the name is none of the four, the size too small, or the data damaged.
    """
    if name not in SIZES:
        raise ValueError(f"data must be one of {', '.join(SIZES)}, but got {name!r}")
    size = SIZES[name] if size is None else size
    if size < _MIN_SIZE:
        raise ValueError(f"image size must be at least {_MIN_SIZE}, but got {size}")
    check_folder(folder)
    if name == "fashion-mnist":
        return _in_memory(name, size, *_read_fashion_mnist(folder))
    if folder is None:
        raise FileNotFoundError(f"{name} needs a data folder, but none was named")
    if name == "imagefolder":
        from .image_folders import FolderImages

        return FolderImages(folder, size, workers)
    read = {"cifar10": _read_cifar10, "stl10": _read_stl10}[name]
    return _in_memory(name, size, *read(folder))


def first_examples(batches: Iterable[tuple[Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor]:
    """Join the first `count` examples of some batches, or all if there are fewer, to one batch.

    Examples
    --------
    >>> batches = [(torch.zeros(2, 3), torch.tensor([0, 1])) for _ in range(3)]
    >>> first_examples(batches, 3)[1]
    tensor([0, 1, 0])
    """
    images: list[Tensor] = []
    labels: list[Tensor] = []
    found = 0
    for batch_images, batch_labels in batches:
        images.append(batch_images)
        labels.append(batch_labels)
        found += len(batch_labels)
        if found >= count:
            break
    return torch.cat(images)[:count], torch.cat(labels)[:count]


def _in_memory(
    name: str, size: int, train: Pixels, test: Pixels, classes: tuple[str, ...]
) -> InMemoryImages:
    mean, deviation, padding = _STATISTICS[name]
    return InMemoryImages(train, test, Preprocessing(size, mean, deviation), padding, classes)


def _read_fashion_mnist(folder: str | None) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import FashionMNIST

    train, test = (
        Pixels(images[:, None], labels) for images, labels in read_grey("fashion-mnist", folder)
    )
    return train, test, tuple(FashionMNIST.classes)


def _read_cifar10(folder: str) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import CIFAR10

    datasets = [_open("cifar10", CIFAR10, folder, train=train) for train in (True, False)]
    train, test = (
        Pixels(torch.from_numpy(dataset.data).permute(0, 3, 1, 2), torch.tensor(dataset.targets))
        for dataset in datasets
    )
    return train, test, tuple(datasets[0].classes)


def _read_stl10(folder: str) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    from torchvision.datasets import STL10

    class LabelledSTL10(STL10):
        """STL-10 without its 100,000 unlabelled images (2.6 GB), which need not exist then."""

        train_list = STL10.train_list[:2]

    datasets = [_open("stl10", LabelledSTL10, folder, split=split) for split in ("train", "test")]
    train, test = (
        Pixels(torch.from_numpy(dataset.data), torch.from_numpy(dataset.labels).long())
        for dataset in datasets
    )
    classes = tuple(getattr(datasets[0], "classes", ()))
    return train, test, classes or tuple(str(number) for number in range(10))


def _open(name: str, dataset: type, folder: str, **options: Any) -> Any:
    """A torchvision data set, or a FileNotFoundError that says in one line why there is none."""
    try:
        return dataset(folder, **options)
    except (RuntimeError, OSError, ValueError) as error:
        reason = one_line(error)
        if "not found or corrupted" in reason:
            reason = "not found, or a file of another MD5 sum"
        raise FileNotFoundError(f"no {name} data in {folder}: {reason}") from None
