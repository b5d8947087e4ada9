"""The bytes of MNIST and Fashion-MNIST, from Debian's folder, a named one, or as torchvision keeps them."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .decoded import decoded

# Debian's package dataset-fashion-mnist puts the data set's own files here.
_DEBIAN = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
_CLASSES = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
GREY = tuple(_CLASSES)


def check_folder(folder: str | None) -> None:
    """A folder that was named must be there."""
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"data folder {folder} does not exist")


def held_out(count: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the validation examples: a twelfth (5,000 of 60,000), always the same, is held out."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[count // 12 :], order[: count // 12]


def read_grey(
    name: str, folder: str | None = None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The training and test split of ``mnist`` or ``fashion-mnist``: four IDX files, or as torchvision keeps them.

    Returns
    -------
    tuple
        Of each split its images, N x 28 x 28 bytes, and its labels, N whole numbers.

    Raises
    ------
    FileNotFoundError
        If the folder lacks the data set.
    ValueError
        If a file is damaged.
    """
    files, read = _found(name, folder)
    images, labels, test_images, test_labels = decoded(
        name, files, lambda: [tensor for part in read() for tensor in part]
    )
    return (images, labels), (test_images, test_labels)


def grey_files(name: str, folder: str | None = None) -> list[Path]:
    """The files that :func:`read_grey` reads; none where it has yet to download them."""
    return _found(name, folder)[0]


def _found(
    name: str, folder: str | None
) -> tuple[list[Path], Callable[[], Sequence[tuple[Tensor, Tensor]]]]:
    """The files, and what reads them."""
    flat = Path(folder) if folder else _DEBIAN.get(name)
    if flat is not None and any(flat.glob("train-images*ubyte*")):
        return list(flat.glob("*ubyte*")), lambda: (
            _read_idx_split(flat, "train"),
            _read_idx_split(flat, "t10k"),
        )
    root = Path(folder) if folder else Path.home() / ".cache" / "nni-stress"
    return list((root / _CLASSES[name] / "raw").glob("*ubyte*")), lambda: _torchvisions(
        name, root, folder is None
    )


def _torchvisions(name: str, root: Path, download: bool) -> Sequence[tuple[Tensor, Tensor]]:
    import torchvision.datasets

    dataset = getattr(torchvision.datasets, _CLASSES[name])
    try:
        parts = [dataset(root, train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(f"no {name} data in {root}: {error}") from None
    return [(part.data, part.targets.long()) for part in parts]


def _read_idx_split(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    images = _read_idx(folder, f"{part}-images-idx3-ubyte").reshape(-1, 28, 28)
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {part} has {len(images)} images, but {len(labels)} labels")
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def _read_idx(folder: Path, stem: str) -> np.ndarray:
    """The bytes of an IDX file, gzipped or not, without its header: 4 bytes of type, and 4 for each dimension."""
    for path, opener in ((folder / stem, open), (folder / f"{stem}.gz", gzip.open)):
        if path.exists():
            try:
                with opener(path, "rb") as file:
                    content = file.read()
            except (OSError, EOFError) as error:
                raise ValueError(f"{path} is damaged: {error}") from None
            shape = (
                np.frombuffer(content[4 : 4 + 4 * content[3]], ">u4")
                if len(content) > 4
                else np.zeros(1)
            )
            data = np.frombuffer(
                content, np.uint8, offset=min(4 + 4 * len(shape), len(content))
            ).copy()
            if data.size != shape.prod() or not data.size:
                raise ValueError(
                    f"{path} is damaged: its header speaks of {int(shape.prod())} bytes, it has {data.size}"
                )
            return data
    raise FileNotFoundError(f"no file {stem} or {stem}.gz in {folder}")
