"""Data sets for detection, split train / validation / test, and their batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from . import augmentation
from .examples import Evaluated, Example, collated, collated_for_training, resized
from .grey import check_folder, held_out
from .seeded import SeededBatches, chance_of, seeded_loader

NAMES = ("scenes", "voc", "kitti")
SIZES = {"scenes": 128, "voc": 416, "kitti": 416}
_SCENES = {"train": 30_000, "validation": 500, "test": 1_000}


class Detection(NamedTuple):
    """A data set: class names; sets of examples, indexed 0 to length - 1; what changes a training example at random."""

    classes: tuple[str, ...]
    train: Dataset
    validation: Dataset
    test: Dataset
    augment: Callable[[Example, int], Example]


def load_detection(
    name: str,
    folder: str | None = None,
    scenes: dict[str, int] | None = None,
    size: int = 128,
    seed: int = 0,
) -> Detection:
    """Read a data set, or make scenes.

    Parameters
    ----------
    name
        ``scenes`` of Fashion-MNIST's garments, ``voc`` (a twelfth of its training images is held out for validation) or
        ``kitti`` (of its labelled images a fifth is for testing, a twelfth of the rest for validation; always the same).
    folder
        Where the data set is, as torchvision keeps it; ``scenes`` find Debian's Fashion-MNIST without.
    scenes
        Numbers of scenes of "train", "validation" and "test" where they are not to be 30,000, 500 and 1,000.
    size
        Of scenes in pixels, a multiple of 32.
    seed
        Of the scenes.

    Raises
    ------
    FileNotFoundError
        If no folder was named that is needed, or it lacks the data set.
    ValueError
        If the name is none of the three, or the data are damaged.
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, but got {name!r}")
    if folder is None and name != "scenes":
        raise FileNotFoundError(f"{name} needs a data folder, but none was named")
    check_folder(folder)
    if name == "scenes":
        return _scenes(folder, {**_SCENES, **(scenes or {})}, size, seed)
    from . import detection_folders as folders

    if name == "voc":
        (train, test), classes = folders.voc(folder), folders.VOC_CLASSES
    else:
        examples, classes = folders.kitti(folder), folders.KITTI_CLASSES
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
        held = len(order) // 5
        train, test = Subset(examples, order[held:]), Subset(examples, order[:held])
    if not len(train) or not len(test):
        raise FileNotFoundError(
            f"{name} in {folder} has {len(train)} images to train and {len(test)} to test with"
        )
    kept, validation = (Subset(train, indices.tolist()) for indices in held_out(len(train)))
    return Detection(classes, kept, validation, test, augmentation.jitter)


def _scenes(folder: str | None, counts: dict[str, int], size: int, seed: int) -> Detection:
    from .scenes import CLASSES, Scenes, load_garments

    garments = load_garments(folder)
    # Seeds of their own: else the same drawings would lie under the same places in all three.
    parts = (
        Scenes(garments[part], counts[part], size, 3 * seed + number)
        for number, part in enumerate(_SCENES)
    )
    return Detection(CLASSES, *parts, augmentation.flip)


def training_batches(
    data: Detection,
    batch_size: int,
    generator: torch.Generator,
    sizes: tuple[int, ...],
    every: int = 10,
    workers: int = 0,
) -> Iterable[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches of one epoch; the last, smaller batch is left out.

    Parameters
    ----------
    data
        The data set.
    batch_size
        Examples of a batch.
    generator
        Decides all that is random, however many workers there are.
    sizes
        Multiples of 32, one of which is drawn for every `every` batches as the size of their images.
    workers
        Processes that make the batches; 0 is this one.

    Returns
    -------
    Iterable
        Of images, B x 3 x S x S in [0, 1], and targets, B x N x 5: rows (class, x of the centre, y, width, height), all but
        the class as shares of the image's side, class -1 where a row is left over. VOC's difficult objects are left out.
    """
    check_sizes(sizes)
    sampler = SeededBatches(len(data.train), batch_size, generator, tuple(sizes), every)
    return seeded_loader(
        _Augmented(data.train, data.augment), sampler, workers, collated_for_training
    )


def plain_batches(examples: Dataset, batch_size: int, size: int) -> Iterable[Evaluated]:
    """Batches (images, targets, difficult), all in order at size x size; difficult objects are among the targets."""
    check_sizes((size,))
    return DataLoader(_Resized(examples, size), batch_size=batch_size, collate_fn=collated)


def check_sizes(sizes: tuple[int, ...]) -> None:
    """Sizes of a detector's images must be multiples of 32."""
    wrong = [size for size in sizes if size < 32 or size % 32]
    if wrong or not sizes:
        raise ValueError(
            f"image sizes must be multiples of 32, but got {wrong[0] if wrong else 'none'}"
        )


def box_sizes(examples: Dataset, most: int = 2000) -> Tensor:
    """Widths and heights of the first examples' boxes, M x 2, as shares of the image's sides; anchors are fit to them."""
    found = [torch.zeros(0, 2)]
    for index in range(min(most, len(examples))):
        image, boxes, _, difficult = examples[index]
        height, width = image.shape[1:]
        found.append((boxes[:, 2:] - boxes[:, :2])[~difficult] / torch.tensor([width, height]))
    return torch.cat(found)


class _Augmented(Dataset):
    def __init__(self, examples: Dataset, augment: Callable[[Example, int], Example]):
        self._examples, self._augment = examples, augment

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: tuple[int, int, int]) -> Example:
        index, seed, size = key
        with chance_of(seed):
            return self._augment(self._examples[index], size)


class _Resized(Dataset):
    def __init__(self, examples: Dataset, size: int):
        self._examples, self._size = examples, size

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return resized(self._examples[index], self._size)
