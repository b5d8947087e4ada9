"""Images of MNIST and Fashion-MNIST as bytes.

They are read from a given folder, from where Debian's package installs them, or from where
torchvision downloads them to.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from nni_stress.exceptions import DamagedFileError
from nni_stress.utils.messages import one_line
from nni_stress.utils.regular_files import check_regular

from .decoded import decode_once

# Debian's package dataset-fashion-mnist installs the original files here.
_DEBIAN = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
_TORCHVISION_CLASSES = {"fashion-mnist": "FashionMNIST", "mnist": "MNIST"}
GREY = tuple(_TORCHVISION_CLASSES)  # names of the data sets that this module reads

_MOST_BYTES = 2**30  # of a file, twenty times those of the training images

LabelledImages = tuple[Tensor, Tensor]  # images, N x 28 x 28 uint8, and labels, N int64


def check_folder(folder: str | None) -> None:
    """Raise a FileNotFoundError if a folder was given that does not exist."""
    if folder is not None and not Path(folder).is_dir():
        raise FileNotFoundError(f"data folder {folder} does not exist")


def hold_out(count: int) -> tuple[Tensor, Tensor]:
    """Split the indices of training examples into those to train and those to validate with.

    A twelfth is held out for validation, which is 5,000 of 60,000. The split is the same each time.

    Parameters
    ----------
    count
        Number of examples.

    Returns
    -------
    (torch.Tensor, torch.Tensor)
        Indices of the training and of the validation examples.

    Examples
    --------
    >>> [len(indices) for indices in hold_out(60)]
    [55, 5]
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return order[count // 12 :], order[: count // 12]


def read_grey(name: str, folder: str | None = None) -> tuple[LabelledImages, LabelledImages]:
    """Read the training and the test split of a data set.

    Parameters
    ----------
    name
        ``mnist`` or ``fashion-mnist``.
    folder
        Folder that holds the four IDX files, or the data set as torchvision stores it. Without it
        the data set is downloaded if it is not found.

    Returns
    -------
    ((images, labels), (images, labels))
        Training and test split: N x 28 x 28 uint8, and N int64.

    Raises
    ------
    FileNotFoundError
        If the folder lacks the data set.
    ValueError
        If a file is damaged.
    """
    files, read = _locate(name, folder)
    for file in files:
        check_regular(file, _MOST_BYTES)
    images, labels, test_images, test_labels = decode_once(
        name, files, lambda: [tensor for split in read() for tensor in split]
    )
    return (images, labels), (test_images, test_labels)


def grey_files(name: str, folder: str | None = None) -> list[Path]:
    """Files that :func:`read_grey` reads; none if they have yet to be downloaded."""
    return _locate(name, folder)[0]


def _locate(
    name: str, folder: str | None
) -> tuple[list[Path], Callable[[], Sequence[LabelledImages]]]:
    """The files of a data set, and the function that reads them."""
    flat = Path(folder) if folder else _DEBIAN.get(name)
    if flat is not None and any(flat.glob("train-images*ubyte*")):
        idx_folder = flat
        return list(flat.glob("*ubyte*")), lambda: (
            _read_idx_split(idx_folder, "train"),
            _read_idx_split(idx_folder, "t10k"),
        )
    root = Path(folder) if folder else Path.home() / ".cache" / "nni-stress"
    raw = root / _TORCHVISION_CLASSES[name] / "raw"
    return list(raw.glob("*ubyte*")), lambda: _read_torchvision(name, root, folder is None)


def _read_torchvision(name: str, root: Path, download: bool) -> Sequence[LabelledImages]:
    import torchvision.datasets

    dataset = getattr(torchvision.datasets, _TORCHVISION_CLASSES[name])
    try:
        splits = [dataset(root, train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise FileNotFoundError(f"no {name} data in {root}: {one_line(error)}") from None
    except Exception as error:  # torchvision asserts what it expects of the files
        raise DamagedFileError(f"{name} data in {root} are damaged: {one_line(error)}") from None
    return [(split.data, split.targets.long()) for split in splits]


def _read_idx_split(folder: Path, prefix: str) -> LabelledImages:
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte").reshape(-1, 28, 28)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte")
    if len(images) != len(labels):
        raise DamagedFileError(
            f"{folder}: {prefix} has {len(images)} images, but {len(labels)} labels"
        )
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def _read_idx(folder: Path, stem: str) -> np.ndarray:
    """Data bytes of an IDX file, compressed or not."""
    for path, opener in ((folder / stem, open), (folder / f"{stem}.gz", gzip.open)):
        if path.exists():
            try:
                with opener(path, "rb") as file:
                    return _parse_idx(path, file)
            except (OSError, EOFError, zlib.error) as error:
                raise DamagedFileError(f"{path} is damaged: {one_line(error)}") from None
    raise FileNotFoundError(f"no file {stem} or {stem}.gz in {folder}")


def _parse_idx(path: Path, file: IO[bytes]) -> np.ndarray:
    """Data of an IDX file: after 4 bytes of type come 4 bytes for each dimension, then the data."""
    dimensions = (file.read(4) + bytes(4))[3]
    shape = np.frombuffer(file.read(4 * dimensions).ljust(4 * dimensions, b"\0"), ">u4")
    announced = math.prod(shape.tolist())
    # One byte more than announced tells that there are more; a small .gz may hold any number.
    content = file.read(min(announced, _MOST_BYTES) + 1)
    if len(content) != announced or not content:
        more = "more" if len(content) > announced else len(content)
        raise DamagedFileError(
            f"{path} is damaged: its header announces {announced} bytes of data, but it has {more}"
        )
    return np.frombuffer(content, np.uint8).copy()
