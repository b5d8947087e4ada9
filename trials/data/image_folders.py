"""Photographs in one folder per class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from nni_stress.utils.messages import one_line

from .grey import hold_out
from .image_files import load_image
from .seeded import Key, SeededBatchSampler, seeded_loader, torch_seed

# Of ImageNet's images; photographs are commonly normalised by them.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
_RESIZE_FACTOR = 256 / 224  # size to which test images are resized, per size of the central crop


class FolderImages:
    """Training, validation and test images from folders.

    Parameters
    ----------
    folder
        Folder that holds train and test (or val), each with a folder of images for each class. A
        twelfth of train is held out for validation.
    size
        Height and width of the network's input in pixels.
    workers
        Number of processes that read training images; 0 reads in the training process.

    Raises
    ------
    FileNotFoundError
        If the folder of a split is missing, or a class has no image.
    ValueError
        If training and test images have different classes.
    """

    def __init__(self, folder: str, size: int, workers: int = 0) -> None:
        self._workers = workers
        train = _read(Path(folder), ("train",))
        test = _read(Path(folder), ("test", "val"))
        if train.classes != test.classes:
            raise ValueError(
                f"{folder}: classes must be the same in training and test, "
                f"but only one has {sorted(set(train.classes) ^ set(test.classes))}"
            )
        self.classes = tuple(train.classes)
        kept, held_out = hold_out(len(train))
        self._train = _Augmented(Subset(train, kept.tolist()), _augmentation(size))
        test.transform = _central_crop(size)
        validation = ImageFolder(train.root, _central_crop(size), loader=load_image)
        self._evaluation: dict[str, Dataset] = {
            "validation": Subset(validation, held_out.tolist()),
            "test": test,
        }

    def training_batches(self, batch_size: int, generator: torch.Generator) -> DataLoader:
        """Shuffled, augmented batches of one epoch, which depend on the generator alone."""
        sampler = SeededBatchSampler(len(self._train), batch_size, generator)
        return seeded_loader(self._train, sampler, self._workers)

    def evaluation_batches(self, split: str) -> DataLoader:
        """Batches of "validation" or "test" in order, without augmentation."""
        return DataLoader(self._evaluation[split], batch_size=50)


class _Augmented(Dataset):
    def __init__(self, examples: Subset, transform: Callable[[Any], Tensor]) -> None:
        self._examples = examples
        self._transform = transform

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        index, seed, _ = key
        image, label = self._examples[index]
        with torch_seed(seed):
            return self._transform(image), label


def _read(folder: Path, names: tuple[str, ...]) -> ImageFolder:
    found = next((folder / name for name in names if (folder / name).is_dir()), None)
    if found is None:
        raise FileNotFoundError(
            f"no folder {' or '.join(names)} in {folder}, which must hold train and test (or val), "
            f"each with a folder of images for each class"
        )
    try:
        return ImageFolder(str(found), loader=load_image)
    except FileNotFoundError as error:
        raise FileNotFoundError(one_line(error)) from None


def _augmentation(size: int) -> v2.Transform:
    return v2.Compose(
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip(), *_to_tensor()]
    )


def _central_crop(size: int) -> v2.Transform:
    larger = round(size * _RESIZE_FACTOR)
    return v2.Compose([v2.Resize(larger, antialias=True), v2.CenterCrop(size), *_to_tensor()])


def _to_tensor() -> list[v2.Transform]:
    return [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(_MEAN), list(_DEVIATION)),
    ]
