"""Generated scenes of garments from Fashion-MNIST, for detection.

Garments have random sizes, places and colours; they overlap each other and lie on clutter, which a
detector must learn to ignore: handwritten digits from scikit-learn, and fragments of garments.

A scene is drawn whenever it is asked for, and depends only on a seed and its index. Nothing is
downloaded or stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image

from .backdrops import draw_backdrop
from .examples import Example
from .garments import Garments

# Bytes of a garment's image.
_MIN_VISIBLE = 16  # a pixel at least as bright can be seen; boxes are drawn around such pixels
_OPAQUE = 40  # a pixel at least as bright hides the background completely

# Garments of a scene.
_EMPTY_SCENES = 0.03  # fraction of scenes without a garment
_MAX_GARMENTS = 4
_MIN_SIDE_SHARE, _MAX_SIDE_SHARE = 0.3, 0.7  # side of a garment as a fraction of the image's
_MAX_ROTATION = 10  # degrees in either direction
_MIN_SIDE = 4  # pixels; narrower garments are left out
_MIN_UNCOVERED = 0.7  # fraction of a garment that must not be covered or beyond the image's edge
_ATTEMPTS = 8  # places to try for a garment before it is left out

_Window = tuple[slice, slice]  # rows and columns


class Scenes(torch.utils.data.Dataset):
    """Data set of generated scenes.

    Parameters
    ----------
    garments
        Garments and digits to draw scenes from.
    count
        Number of scenes.
    size
        Height and width of a scene in pixels, a multiple of 32.
    seed
        Seed of all scenes.

    Raises
    ------
    ValueError
        If there is no scene or no garment, or the size is no multiple of 32.

    Examples
    --------
    >>> garments = Garments(np.full((1, 28, 28), 255, np.uint8), np.zeros(1, np.int64))
    >>> Scenes(garments, count=10, size=64)[3].image.shape
    torch.Size([3, 64, 64])
    """

    def __init__(self, garments: Garments, count: int, size: int = 128, seed: int = 0) -> None:
        if size < 32 or size % 32:
            raise ValueError(f"the size of scenes must be a multiple of 32, but got {size}")
        if count < 1 or not len(garments.labels):
            raise ValueError(
                f"scenes need at least one scene and one garment, but got {count} and "
                f"{len(garments.labels)}"
            )
        self.garments = garments
        self.count = count
        self.size = size
        self.seed = seed

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

    Parameters
    ----------
    garments
        Garments and digits to draw it from.
    size
        Height and width in pixels.
    seed
        Seed of the scene.

    Returns
    -------
    image : numpy.ndarray
        size x size x 3, uint8.
    boxes : numpy.ndarray
        M x 4, float32: left, top, right and bottom edge in pixels, right and bottom exclusive.
        Boxes are tight around the visible part of each garment. M is at most 4; about 3 % of scenes
        have no garment.
    labels : numpy.ndarray
        M class numbers, int64.
    """
    # Generators of their own make scenes comparable that differ in their garments alone.
    background, placement, camera = (np.random.default_rng((*seed, part)) for part in range(3))
    image = draw_backdrop(size, background)
    for _ in range(background.integers(4)):
        _place_clutter(image, _make_clutter(garments, size, background), background)
    coverage = _Coverage(np.zeros((size, size), np.uint8))
    labels = []
    for _ in range(_draw_count(placement)):
        garment, label = _choose(garments, placement)
        side = size * placement.uniform(_MIN_SIDE_SHARE, _MAX_SIDE_SHARE)
        patch = _transform(garment, side, placement)
        if min(patch.shape) >= _MIN_SIDE and _place_garment(image, patch, placement, coverage):
            labels.append(label)
    return _photograph(image, camera), coverage.boxes(), np.array(labels, np.int64)


def _draw_count(random: Generator) -> int:
    """Number of garments to try to place."""
    if random.random() < _EMPTY_SCENES:
        return 0
    return int(random.integers(1, _MAX_GARMENTS + 1))


def _choose(garments: Garments, random: Generator) -> tuple[np.ndarray, int]:
    index = random.integers(len(garments.labels))
    return garments.images[index], int(garments.labels[index])


def _transform(garment: np.ndarray, side: float, random: Generator) -> np.ndarray:
    """Scale, stretch, mirror and rotate a garment at random, in an array that just holds it."""
    angle = np.deg2rad(random.uniform(-_MAX_ROTATION, _MAX_ROTATION))
    stretch = np.exp(random.uniform(-0.15, 0.15))
    width, height = side * stretch, side / stretch
    mirror = random.choice((-1, 1))
    cosine, sine = np.cos(angle), np.sin(angle)
    columns = int(np.ceil(abs(width * cosine) + abs(height * sine)))
    rows = int(np.ceil(abs(width * sine) + abs(height * cosine)))
    across, down = mirror * 28 / width, 28 / height
    # The matrix maps positions in the result to positions in the garment.
    matrix = np.array([[across * cosine, across * sine], [-down * sine, down * cosine]])
    shift = 14 - matrix @ (columns / 2, rows / 2)
    affine = (*matrix[0], shift[0], *matrix[1], shift[1])
    image = Image.fromarray(garment).transform(
        (columns, rows), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
    )
    return _crop_to_visible(np.asarray(image))


def _crop_to_visible(patch: np.ndarray) -> np.ndarray:
    visible = patch >= _MIN_VISIBLE
    if not visible.any():
        return patch[:0, :0]
    left, top, right, bottom = _tight_box(visible)
    return patch[top:bottom, left:right]


def _tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom edge of the pixels in a mask that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def _make_clutter(garments: Garments, size: int, random: Generator) -> np.ndarray:
    """A digit, or the texture of a garment without its outline: a piece of its middle."""
    side = max(1, int(size * random.uniform(0.08, 0.25)))
    if len(garments.digits) and random.random() < 0.5:
        piece = garments.digits[random.integers(len(garments.digits))]
    else:
        top, left = random.integers(6, 15, 2)
        piece = _choose(garments, random)[0][top : top + 8, left : left + 8]
    return np.asarray(Image.fromarray(piece).resize((side, side)))


@dataclass
class _Coverage:
    """Which garment each pixel of a scene shows.

    Attributes
    ----------
    owner
        For each pixel the number of the garment that it shows, from 1; 0 for none.
    areas
        For each garment the number of pixels that it would show if nothing covered it.
    """

    owner: np.ndarray
    areas: list[int] = field(default_factory=list)

    def accepts(self, window: _Window, covered: np.ndarray) -> bool:
        """Whether enough of every garment stays visible if some pixels of a window are covered."""
        lengths = len(self.areas) + 1
        hidden = np.bincount(self.owner[window][covered], minlength=lengths)[1:]
        if not hidden.any():
            return True
        left = np.bincount(self.owner.ravel(), minlength=lengths)[1:] - hidden
        return bool((left >= _MIN_UNCOVERED * np.array(self.areas))[hidden > 0].all())

    def add(self, window: _Window, covered: np.ndarray, area: int) -> None:
        """Record a garment on top of all others."""
        self.areas.append(area)
        self.owner[window][covered] = len(self.areas)

    def boxes(self) -> np.ndarray:
        """Boxes around the visible part of each garment, M x 4."""
        boxes = np.zeros((len(self.areas), 4), np.float32)
        for number in range(len(self.areas)):
            boxes[number] = _tight_box(self.owner == number + 1)
        return boxes


def _place_clutter(image: np.ndarray, patch: np.ndarray, random: Generator) -> None:
    window, part = _random_windows(len(image), patch.shape, random)[0]
    _blend(image[window], patch[part], random)


def _place_garment(
    image: np.ndarray, patch: np.ndarray, random: Generator, coverage: _Coverage
) -> bool:
    """Draw a garment where enough of it and of those below stays visible, if such a place is found.

    Returns
    -------
    bool
        Whether the garment was drawn.
    """
    visible = patch >= _MIN_VISIBLE
    area = int(visible.sum())
    for window, part in _random_windows(len(image), patch.shape, random):
        covered = visible[part]
        if covered.sum() >= _MIN_UNCOVERED * area and coverage.accepts(window, covered):
            coverage.add(window, covered, area)
            _blend(image[window], patch[part], random)
            return True
    return False


def _random_windows(
    size: int, shape: tuple[int, ...], random: Generator
) -> list[tuple[_Window, _Window]]:
    """Places to try for a patch, each as a window of the image and the part of the patch in it."""
    rows, columns = shape
    beyond = np.array((rows, columns)) / 4  # at most so much of a patch is beyond the edge
    places = random.uniform(-beyond, size - 3 * beyond, (_ATTEMPTS, 2))
    windows = []
    for top, left in np.rint(places).astype(int).tolist():
        window = (
            slice(max(top, 0), min(top + rows, size)),
            slice(max(left, 0), min(left + columns, size)),
        )
        part = (
            slice(window[0].start - top, window[0].stop - top),
            slice(window[1].start - left, window[1].stop - left),
        )
        windows.append((window, part))
    return windows


def _blend(ground: np.ndarray, patch: np.ndarray, random: Generator) -> None:
    """Draw a patch, R x C uint8, onto the ground, R x C x 3, in shades between two colours."""
    light = random.uniform(0.25, 1, 3).astype(np.float32)
    dark = light * np.float32(random.uniform(0, 0.35))
    brightness = patch[..., None] * np.float32(1 / 255)
    opacity = np.minimum(patch[..., None] * np.float32(1 / _OPAQUE), 1)
    ground += opacity * (dark + brightness * (light - dark) - ground)


def _photograph(image: np.ndarray, random: Generator) -> np.ndarray:
    """Convert an image to bytes with random brightness and noise, as a camera would take it."""
    gain, offset = random.uniform(0.75, 1.15), random.uniform(-0.08, 0.08)
    noise = random.standard_normal(image.shape, np.float32)
    noise *= np.float32(255 * random.uniform(0, 0.03))
    noise += image * np.float32(255 * gain)
    noise += np.float32(255 * offset)
    return np.clip(noise, 0, 255, out=noise).astype(np.uint8)
