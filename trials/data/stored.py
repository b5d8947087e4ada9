"""Examples of one size kept in memory-mapped files: for where making them again would take too long."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from nni_stress.files import atomically

from .examples import Example


class Stored(Dataset):
    """The examples of a data set, made once, with a progress bar, and read from files from then on.

    Parameters
    ----------
    examples
        All with images of one size.
    folder
        Of the two files, images.npy (N x 3 x H x W bytes) and objects.npz. One folder holds one data set.
    quiet
        Show no progress bar.

    Raises
    ------
    ValueError
        If the folder holds another data set: of another number or size, or with another last example.
    """

    def __init__(self, examples: Dataset, folder: str | Path, quiet: bool = False):
        folder = Path(folder)
        images, objects = folder / "images.npy", folder / "objects.npz"
        if not objects.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _write(examples, images, objects, quiet)
        self._images = np.load(images, mmap_mode="r")
        with np.load(objects) as content:
            self._starts, self._boxes, self._labels, self._difficult = (
                content[name] for name in ("starts", "boxes", "labels", "difficult"))
        wanted, found = (len(examples), *examples[0].image.shape), self._images.shape
        last = len(examples) - 1
        if wanted != found or not all(map(torch.equal, examples[last], self[last])):
            raise ValueError(f"{folder} holds another data set: its images are {found}, and wanted are {wanted}")

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Example:
        span = slice(self._starts[index], self._starts[index + 1])
        return Example(torch.from_numpy(self._images[index].copy()), torch.from_numpy(self._boxes[span]),
                       torch.from_numpy(self._labels[span]), torch.from_numpy(self._difficult[span]))


def _write(examples: Dataset, images: Path, objects: Path, quiet: bool) -> None:
    """The objects are written last: where they are, all is."""
    shape = (len(examples), *examples[0].image.shape)
    half = images.with_name(f".{images.name}.{os.getpid()}")
    mapped = np.lib.format.open_memmap(half, "w+", np.uint8, shape)
    rest = []
    for index in tqdm(range(len(examples)), unit="image", disable=quiet):
        image, *others = examples[index]
        mapped[index] = image.numpy()
        rest.append(others)
    mapped.flush()
    os.replace(half, images)
    starts = np.cumsum([0, *(len(labels) for _, labels, _ in rest)])
    boxes, labels, difficult = (torch.cat(column).numpy() for column in zip(*rest))
    with atomically(objects) as file:
        np.savez(file, starts=starts, boxes=boxes, labels=labels, difficult=difficult)
