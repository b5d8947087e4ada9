"""Images in a folder for each class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from .grey import held_out
from .seeded import SeededBatches, chance_of, seeded_loader

# Of ImageNet's images: what networks for photographs are commonly normalised by.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MARGIN = (
    256 / 224
)  # test images are resized to so much more than the window that is cropped from their middle


class FolderImages:
    """The splits of a folder that holds folders train and test (or val), each with a folder of images for each class.

    Parameters
    ----------
    folder
        Where train and test are. A twelfth of train is held out for validation.
    size
        Of the network's images, in pixels.
    workers
        Processes that read training images; 0 is the training process itself.

    Raises
    ------
    FileNotFoundError
        If there is no folder for a split, or a class has no image.
    ValueError
        If training and test images have different classes.
    """

    def __init__(self, folder: str, size: int, workers: int = 0):
        self._workers = workers
        train = _read(Path(folder), ("train",))
        self._test = _read(Path(folder), ("test", "val"))
        if train.classes != self._test.classes:
            raise ValueError(
                f"{folder}: classes must be the same in training and test, "
                f"but only one has {sorted(set(train.classes) ^ set(self._test.classes))}"
            )
        self.classes = tuple(train.classes)
        kept, validation = held_out(len(train))
        self._augmented = _Augmented(Subset(train, kept.tolist()), _augmentation(size))
        self._test.transform = _plain(size)
        plain = ImageFolder(train.root, transform=_plain(size))
        self._validation = Subset(plain, validation.tolist())

    def train(self, batch_size: int, generator: torch.Generator) -> Iterable[tuple[Tensor, Tensor]]:
        """Shuffled, augmented batches of one epoch; the generator decides all of it."""
        return seeded_loader(
            self._augmented,
            SeededBatches(len(self._augmented), batch_size, generator),
            self._workers,
        )

    def plain(self, split: str) -> Iterable[tuple[Tensor, Tensor]]:
        """Batches of "validation" or "test", in order, without augmentation."""
        return DataLoader(
            {"validation": self._validation, "test": self._test}[split], batch_size=50
        )


class _Augmented(Dataset):
    def __init__(self, examples: Dataset, transform):
        self._examples, self._transform = examples, transform

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: tuple[int, int, int]) -> tuple[Tensor, int]:
        index, seed, _ = key
        image, label = self._examples[index]
        with chance_of(seed):
            return self._transform(image), label


def _read(folder: Path, names: tuple[str, ...]) -> ImageFolder:
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None:
        raise FileNotFoundError(
            f"no folder {' or '.join(names)} in {folder}, which must hold train and test (or val), "
            f"each with a folder of images for each class"
        )
    try:
        return ImageFolder(str(found))
    except FileNotFoundError as error:
        raise FileNotFoundError(" ".join(str(error).split())) from None


def _augmentation(size: int):
    return v2.Compose(
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *_to_tensor()]
    )


def _plain(size: int):
    return v2.Compose(
        [v2.Resize(round(size * _MARGIN), antialias=True), v2.CenterCrop(size), *_to_tensor()]
    )


def _to_tensor():
    return v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(_MEAN, _DEVIATION)
