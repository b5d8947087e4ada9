"""Data sets for detection, split into training, validation and test examples, and their batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from . import augmentation
from .examples import EvaluationBatch, Example, collate, collate_for_training, resize
from .grey import check_folder, hold_out
from .seeded import Key, SeededBatchSampler, seeded_loader, torch_seed

NAMES = ("scenes", "voc", "kitti")
SIZES = {"scenes": 128, "voc": 416, "kitti": 416}
_SCENES = {"train": 30_000, "validation": 500, "test": 1_000}


class Examples(Protocol):
    """A sized collection of examples, indexed from 0."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def __getitem__(self, index: int, /) -> Example:
        """Return an example."""


class DetectionData(NamedTuple):
    """A data set for detection.

    Attributes
    ----------
    classes
        Names of the classes.
    train, validation, test
        Examples, whose images may differ in size.
    augment
        Random change of a training example, which also resizes it to a given size.
    """

    classes: tuple[str, ...]
    train: Examples
    validation: Examples
    test: Examples
    augment: Callable[[Example, int], Example]


def load_detection(
    name: str,
    folder: str | None = None,
    scenes: dict[str, int] | None = None,
    size: int = 128,
    seed: int = 0,
) -> DetectionData:
    """Read a data set, or generate scenes.

    Parameters
    ----------
    name
        ``scenes`` of garments from Fashion-MNIST; ``voc``, of whose training images a twelfth is
        held out for validation; or ``kitti``, of whose labelled images a fifth is for testing and a
        twelfth of the rest for validation. The split is the same each time.
    folder
        Folder of the data set as torchvision stores it; ``scenes`` need none if Debian's
        Fashion-MNIST is installed.
    scenes
        Numbers of scenes of "train", "validation" and "test"; by default 30,000, 500 and 1,000.
    size
        Height and width of scenes in pixels, a multiple of 32.
    seed
        Seed of the scenes.

    Returns
    -------
    DetectionData
        The data set.

    Raises
    ------
    FileNotFoundError
        If the folder is needed and missing, or lacks the data set.
    ValueError
        If the name is none of the three, or the data are damaged.
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, but got {name!r}")
    check_folder(folder)
    if name == "scenes":
        return _load_scenes(folder, {**_SCENES, **(scenes or {})}, size, seed)
    if folder is None:
        raise FileNotFoundError(f"{name} needs a data folder, but none was named")
    return _load_photographs(name, folder)


def _load_scenes(folder: str | None, counts: dict[str, int], size: int, seed: int) -> DetectionData:
    from .garments import CLASSES, load_garments
    from .scenes import Scenes

    garments = load_garments(folder)
    # Splits have seeds of their own; otherwise scene n would look the same in all of them.
    train, validation, test = (
        Scenes(garments[split], counts[split], size, 3 * seed + number)
        for number, split in enumerate(_SCENES)
    )
    return DetectionData(CLASSES, train, validation, test, augmentation.flip)


def _load_photographs(name: str, folder: str) -> DetectionData:
    from . import detection_folders as folders

    train: Examples
    test: Examples
    classes: tuple[str, ...]
    if name == "voc":
        classes = folders.VOC_CLASSES
        train, test = folders.load_voc(folder)
    else:
        classes = folders.KITTI_CLASSES
        examples = folders.load_kitti(folder)
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
        test_count = len(order) // 5
        train = Subset(examples, order[test_count:])
        test = Subset(examples, order[:test_count])
    if not len(train) or not len(test):
        raise FileNotFoundError(
            f"{name} in {folder} has {len(train)} images to train and {len(test)} to test with"
        )
    kept, validation = (Subset(train, indices.tolist()) for indices in hold_out(len(train)))
    return DetectionData(classes, kept, validation, test, augmentation.jitter)


def training_batches(
    data: DetectionData,
    batch_size: int,
    generator: torch.Generator,
    sizes: tuple[int, ...],
    batches_per_size: int = 10,
    workers: int = 0,
) -> Iterable[tuple[Tensor, Tensor]]:
    """Shuffled, augmented batches of one epoch, without difficult objects.

    Examples that do not fill a last batch are left out.

    Parameters
    ----------
    data
        The data set.
    batch_size
        Number of examples in a batch.
    generator
        Source of all random numbers, for any number of workers.
    sizes
        Multiples of 32; the image size of each batch is one of them, drawn at random.
    batches_per_size
        Number of successive batches that share a size.
    workers
        Number of processes that make the batches; 0 makes them in the calling process.

    Returns
    -------
    Iterable
        Pairs of images, B x 3 x S x S in [0, 1], and targets, B x N x 5: rows (class, centre x,
        centre y, width, height). The last four are fractions of the image's side. Unused rows have
        class -1.

    Raises
    ------
    ValueError
        If a size is no multiple of 32, or the batch size not between 1 and the number of examples.
    """
    check_sizes(sizes)
    sampler = SeededBatchSampler(
        len(data.train), batch_size, generator, tuple(sizes), batches_per_size
    )
    dataset = _Augmented(data.train, data.augment)
    return seeded_loader(dataset, sampler, workers, collate_for_training)


def plain_batches(examples: Examples, batch_size: int, size: int) -> Iterable[EvaluationBatch]:
    """Batches of all examples in order, without augmentation.

    Parameters
    ----------
    examples
        Validation or test examples.
    batch_size
        Number of examples in a batch; the last one may be smaller.
    size
        Height and width in pixels, a multiple of 32, to which images are resized.

    Returns
    -------
    Iterable of EvaluationBatch
        Batches with difficult objects among the targets.

    Raises
    ------
    ValueError
        If the size is no multiple of 32.
    """
    check_sizes((size,))
    return DataLoader(_Resized(examples, size), batch_size=batch_size, collate_fn=collate)


def check_sizes(sizes: tuple[int, ...]) -> None:
    """Raise a ValueError if there is no image size, or one is no multiple of 32."""
    wrong = [size for size in sizes if size < 32 or size % 32]
    if wrong or not sizes:
        raise ValueError(
            f"image sizes must be multiples of 32, but got {wrong[0] if wrong else 'none'}"
        )


def box_sizes(examples: Examples, max_examples: int = 2000) -> Tensor:
    """Sizes of the boxes in the first examples, to fit anchors to; difficult objects are left out.

    Parameters
    ----------
    examples
        Training examples.
    max_examples
        Number of examples to read at most.

    Returns
    -------
    torch.Tensor
        M x 2: width and height as fractions of the image's width and height.
    """
    sizes = [torch.zeros(0, 2)]
    for index in range(min(max_examples, len(examples))):
        example = examples[index]
        height, width = example.image.shape[1:]
        boxes = example.boxes[~example.difficult]
        sizes.append((boxes[:, 2:] - boxes[:, :2]) / torch.tensor([width, height]))
    return torch.cat(sizes)


class _Augmented(Dataset):
    def __init__(self, examples: Examples, augment: Callable[[Example, int], Example]) -> None:
        self._examples = examples
        self._augment = augment

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: Key) -> Example:
        index, seed, size = key
        with torch_seed(seed):
            return self._augment(self._examples[index], size)


class _Resized(Dataset):
    def __init__(self, examples: Examples, size: int) -> None:
        self._examples = examples
        self._size = size

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return resize(self._examples[index], self._size)
