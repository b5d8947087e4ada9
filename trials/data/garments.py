"""Images that scenes are drawn from: garments from Fashion-MNIST, and handwritten digits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits

from .grey import hold_out, read_grey

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class Garments(NamedTuple):
    """Images to draw scenes from.

    Attributes
    ----------
    images
        N x 28 x 28 uint8; 0 is transparent.
    labels
        N class numbers.
    digits
        D x 8 x 8 uint8, used as clutter.
    """

    images: np.ndarray
    labels: np.ndarray
    digits: np.ndarray = np.zeros((0, 8, 8), np.uint8)


def load_garments(folder: str | None = None) -> dict[str, Garments]:
    """Read Fashion-MNIST.

    Parameters
    ----------
    folder
        Folder of Fashion-MNIST, see :func:`read_grey`.

    Returns
    -------
    dict
        Garments of "train", "validation" and "test". No garment is in two of them.

    Raises
    ------
    FileNotFoundError
        If the folder lacks the data set.
    ValueError
        If a file is damaged.
    """
    (images, labels), (test_images, test_labels) = read_grey("fashion-mnist", folder)
    train, validation = hold_out(len(labels))
    splits = {
        "train": (images[train], labels[train]),
        "validation": (images[validation], labels[validation]),
        "test": (test_images, test_labels),
    }
    digits = (load_digits().images * 15.9).astype(np.uint8)
    return {
        name: Garments(images.numpy(), labels.numpy(), digits)
        for name, (images, labels) in splits.items()
    }
