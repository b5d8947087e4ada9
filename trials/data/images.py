"""Small grey images in memory: handwritten digits, MNIST and Fashion-MNIST, split train / validation / test."""
from __future__ import annotations

import gzip
from pathlib import Path
from typing import Iterator, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nni_stress.modes import evaluating

# Debian's package dataset-fashion-mnist puts the data set's own files here.
_DEBIAN = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
_CLASSES = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
NAMES = ("digits", *_CLASSES)


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
        for indices in order[:len(self) * self._size].view(len(self), -1):
            images = self._split.images[indices]
            yield (self._shifted(images) if self._shift else images), self._split.labels[indices]

    def _shifted(self, images: Tensor) -> Tensor:
        """The batch, moved by up to `shift` pixels each way."""
        down, right = torch.randint(-self._shift, self._shift + 1, (2,), generator=self._generator).tolist()
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
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"data folder {folder} does not exist")
    if name == "digits":
        return _digits()
    train, test = _read(name, folder)
    mean, deviation = train.images.mean(), train.images.std()
    train, test = (Split((s.images - mean) / deviation, s.labels) for s in (train, test))
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    held_out = len(order) // 12  # 5,000 of 60,000
    return Images(_take(train, order[held_out:]), _take(train, order[:held_out]), test)


def _take(split: Split, indices: Tensor) -> Split:
    return Split(split.images[indices], split.labels[indices])


def _digits() -> Images:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).float().div_(16)[:, None]
    images = functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    everything = Split((images - images.mean()) / images.std(), torch.from_numpy(digits.target).long())
    order = torch.randperm(len(everything.labels), generator=torch.Generator().manual_seed(0))
    return Images(*(_take(everything, part) for part in order.split([997, 400, 400])))


def _read(name: str, folder: str | None) -> tuple[Split, Split]:
    """The training and test split: the data set's four IDX files in one folder, or as torchvision keeps them."""
    flat = Path(folder) if folder else _DEBIAN.get(name)
    if flat is not None and any(flat.glob("train-images*ubyte*")):
        return _read_idx_split(flat, "train"), _read_idx_split(flat, "t10k")
    import torchvision.datasets

    root = folder or str(Path.home() / ".cache" / "nni-stress")
    dataset = getattr(torchvision.datasets, _CLASSES[name])
    try:
        parts = [dataset(root, train=train, download=folder is None) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(f"no {name} data in {root}: {error}") from None
    return tuple(Split(part.data[:, None].float().div_(255), part.targets.long()) for part in parts)


def _read_idx_split(folder: Path, part: str) -> Split:
    images = _read_idx(folder, f"{part}-images-idx3-ubyte").reshape(-1, 1, 28, 28)
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {part} has {len(images)} images, but {len(labels)} labels")
    return Split(torch.from_numpy(images).float().div_(255), torch.from_numpy(labels).long())


def _read_idx(folder: Path, stem: str) -> np.ndarray:
    """The bytes of an IDX file, gzipped or not, without its header: 4 bytes of type, and 4 for each dimension."""
    for path, opener in ((folder / stem, open), (folder / f"{stem}.gz", gzip.open)):
        if path.exists():
            try:
                with opener(path, "rb") as file:
                    content = file.read()
            except (OSError, EOFError) as error:
                raise ValueError(f"{path} is damaged: {error}") from None
            shape = np.frombuffer(content[4:4 + 4 * content[3]], ">u4") if len(content) > 4 else np.zeros(1)
            data = np.frombuffer(content, np.uint8, offset=min(4 + 4 * len(shape), len(content))).copy()
            if data.size != shape.prod() or not data.size:
                raise ValueError(f"{path} is damaged: its header speaks of {int(shape.prod())} bytes, it has {data.size}")
            return data
    raise FileNotFoundError(f"no file {stem} or {stem}.gz in {folder}")


@torch.no_grad()
def accuracy(network: torch.nn.Module, split: Split) -> float:
    """Share of the split's images that the network classifies rightly, in [0, 1]."""
    with evaluating(network):
        right = sum(int((network(images).argmax(1) == labels).sum())
                    for images, labels in zip(split.images.split(1000), split.labels.split(1000)))
    return right / len(split.labels)
