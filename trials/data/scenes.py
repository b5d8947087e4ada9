"""Scenes to detect garments in: Fashion-MNIST's, at random sizes, places and colours, over each other and over clutter.

Clutter is what a detector must learn to leave alone: scikit-learn's handwritten digits, and shreds of garments.

A scene is made from (seed, index) whenever it is asked for, and always is the same. Nothing is downloaded or stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image
from sklearn.datasets import load_digits

from .backdrops import backdrop
from .examples import Example
from .grey import held_out, read_grey

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
_VISIBLE = (
    16  # a byte of a garment as bright as this can be seen: its box is drawn around such pixels
)
_OPAQUE = 40  # from here on nothing of the ground shines through
_MOST = 4  # garments of a scene
_SIDES = 0.3, 0.7  # of a garment, as shares of the image's
_LEAST_SEEN = 0.7  # share of a garment that neither other garments nor the image's edge may hide
_TURN = 10  # degrees, either way, by which a garment is turned at most
_LEAST_SIDE = 4  # of a garment in pixels; what is narrower, or black, is left out
_ATTEMPTS = 8  # to place a garment thus, before it is left out


class Garments(NamedTuple):
    """Images, N x 28 x 28 bytes, black where nothing is; labels, N whole numbers; D x 8 x 8 bytes to clutter scenes with."""

    images: np.ndarray
    labels: np.ndarray
    digits: np.ndarray = np.zeros((0, 8, 8), np.uint8)


def load_garments(folder: str | None = None) -> dict[str, Garments]:
    """The garments of "train", "validation" and "test"; none is in two of them."""
    (images, labels), (test_images, test_labels) = read_grey("fashion-mnist", folder)
    train, validation = held_out(len(labels))
    parts = {
        "train": (images[train], labels[train]),
        "validation": (images[validation], labels[validation]),
        "test": (test_images, test_labels),
    }
    digits = (load_digits().images * 15.9).astype(np.uint8)
    return {
        name: Garments(*(tensor.numpy() for tensor in part), digits) for name, part in parts.items()
    }


class Scenes(torch.utils.data.Dataset):
    """So many scenes of garments.

    Parameters
    ----------
    garments
        What may lie in them.
    count
        Number of scenes.
    size
        Of a scene in pixels, a multiple of 32.
    seed
        Of all of them.
    """

    def __init__(self, garments: Garments, count: int, size: int = 128, seed: int = 0):
        if size < 32 or size % 32:
            raise ValueError(f"the size of scenes must be a multiple of 32, but got {size}")
        if count < 1 or not len(garments.labels):
            raise ValueError(
                f"scenes need at least one scene and one garment, but got {count} and {len(garments.labels)}"
            )
        self.garments, self.count, self.size, self.seed = garments, count, size, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(f"scene {index} of {self.count}")
        image, boxes, labels = draw_scene(self.garments, self.size, (self.seed, index))
        return Example(
            torch.from_numpy(image).permute(2, 0, 1),
            torch.from_numpy(boxes),
            torch.from_numpy(labels),
            torch.zeros(len(labels), dtype=torch.bool),
        )


def draw_scene(
    garments: Garments, size: int, seed: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a scene.

    Returns
    -------
    (image, boxes, labels)
        size x size x 3 bytes; M x 4 float32, left, top, right, bottom in pixels, right and bottom exclusive, tight around
        what can be seen of each garment; M whole numbers. M lies between 0 and 4, and is 0 in about 3 of 100 scenes.
    """
    ground, lying, camera = (np.random.default_rng((*seed, part)) for part in range(3))
    image, owner = (
        backdrop(size, ground),
        np.zeros((size, size), np.uint8),
    )  # whose a pixel is; 0 is nobody
    for _ in range(ground.integers(4)):
        _place(image, _clutter(garments, size, ground), ground)
    labels, wholes = [], []
    for _ in range(_number(lying)):
        garment, label = _picked(garments, lying)
        patch = _turned(garment, size * lying.uniform(*_SIDES), lying)
        if min(patch.shape) >= _LEAST_SIDE and _place(image, patch, lying, owner, wholes):
            labels.append(label)
    return _photographed(image, camera), _boxes(owner, len(labels)), np.array(labels, np.int64)


def _number(random: Generator) -> int:
    """How many garments are tried: none in 3 of 100 scenes."""
    return 0 if random.random() < 0.03 else int(random.integers(1, _MOST + 1))


def _picked(garments: Garments, random: Generator) -> tuple[np.ndarray, int]:
    index = random.integers(len(garments.labels))
    return garments.images[index], int(garments.labels[index])


def _turned(garment: np.ndarray, side: float, random: Generator) -> np.ndarray:
    """The garment in another size and form, mirrored or not, turned a little, in an array that just holds it."""
    angle, stretch = np.deg2rad(random.uniform(-_TURN, _TURN)), np.exp(random.uniform(-0.15, 0.15))
    width, height, mirror = side * stretch, side / stretch, random.choice((-1, 1))
    cosine, sine = np.cos(angle), np.sin(angle)
    columns, rows = (
        int(np.ceil(abs(width * a) + abs(height * b))) for a, b in ((cosine, sine), (sine, cosine))
    )
    across, down = mirror * 28 / width, 28 / height
    matrix = np.array(
        [[across * cosine, across * sine], [-down * sine, down * cosine]]
    )  # from the result to the garment
    shift = 14 - matrix @ (columns / 2, rows / 2)
    affine = (*matrix[0], shift[0], *matrix[1], shift[1])
    turned = np.asarray(
        Image.fromarray(garment).transform(
            (columns, rows), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
        )
    )
    seen = turned >= _VISIBLE
    across, down = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
    return (
        turned[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
        if len(across)
        else turned[:0, :0]
    )


def _clutter(garments: Garments, size: int, random: Generator) -> np.ndarray:
    """A digit, or something of a garment's stuff but nobody's form: a piece of its middle."""
    side = max(1, int(size * random.uniform(0.08, 0.25)))
    if len(garments.digits) and random.random() < 0.5:
        piece = garments.digits[random.integers(len(garments.digits))]
    else:
        top, left = random.integers(6, 15, 2)
        piece = _picked(garments, random)[0][top : top + 8, left : left + 8]
    return np.asarray(Image.fromarray(piece).resize((side, side)))


def _place(
    image: np.ndarray,
    patch: np.ndarray,
    random: Generator,
    owner: np.ndarray | None = None,
    wholes: list[int] | None = None,
) -> bool:
    """Draw a patch; with an owner, where enough can be seen of it and of what lies there. False if no such place was found.

    `wholes` has of every garment so far how many pixels it would show if nothing hid it; a patch that is drawn is added.
    """
    size, seen, (rows, columns) = len(image), patch >= _VISIBLE, patch.shape
    outside = np.array((rows, columns)) / 4  # so much of a patch may lie beyond the edge
    for top, left in (
        np.rint(random.uniform(-outside, size - 3 * outside, (_ATTEMPTS, 2))).astype(int).tolist()
    ):
        inside = (
            slice(max(top, 0), min(top + rows, size)),
            slice(max(left, 0), min(left + columns, size)),
        )
        part = (
            slice(inside[0].start - top, inside[0].stop - top),
            slice(inside[1].start - left, inside[1].stop - left),
        )
        if owner is not None:
            covers = seen[part]
            if covers.sum() < _LEAST_SEEN * seen.sum() or not _others_seen(
                owner, inside, covers, wholes
            ):
                continue
            wholes.append(int(seen.sum()))
            owner[inside][covers] = len(wholes)
        _blend(image[inside], patch[part], random)
        return True
    return False


def _others_seen(owner: np.ndarray, inside: tuple, covers: np.ndarray, wholes: list[int]) -> bool:
    """Whether enough would be left of every garment of which something is covered."""
    covered = np.bincount(owner[inside][covers], minlength=len(wholes) + 1)[1:]
    if not covered.any():
        return True
    left = np.bincount(owner.ravel(), minlength=len(wholes) + 1)[1:] - covered
    return bool((left >= _LEAST_SEEN * np.array(wholes))[covered > 0].all())


def _blend(ground: np.ndarray, patch: np.ndarray, random: Generator) -> None:
    """Draw a patch of bytes, R x C, onto the ground, R x C x 3, shaded between two colours."""
    light = random.uniform(0.25, 1, 3).astype(np.float32)
    dark = light * np.float32(random.uniform(0, 0.35))
    bright = patch[..., None] * np.float32(1 / 255)
    opacity = np.minimum(patch[..., None] * np.float32(1 / _OPAQUE), 1)
    ground += opacity * (dark + bright * (light - dark) - ground)


def _photographed(image: np.ndarray, random: Generator) -> np.ndarray:
    """The image in bytes, as a camera would have it: brighter or darker, with noise."""
    gain, offset = random.uniform(0.75, 1.15), random.uniform(-0.08, 0.08)
    noise = random.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * random.uniform(0, 0.03))
    noise += image * np.float32(255 * gain)
    noise += np.float32(255 * offset)
    return np.clip(noise, 0, 255, out=noise).astype(np.uint8)


def _boxes(owner: np.ndarray, count: int) -> np.ndarray:
    boxes = np.zeros((count, 4), np.float32)
    for number in range(count):
        seen = owner == number + 1
        across, down = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
        boxes[number] = across[0], down[0], across[-1] + 1, down[-1] + 1
    return boxes
