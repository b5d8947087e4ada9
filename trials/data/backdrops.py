"""Backgrounds of scenes: random textures and shapes.

Arrays are H x W x 3 float32 in [0, 1] unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

_Colour = tuple[int, ...]


def draw_backdrop(size: int, random: Generator) -> np.ndarray:
    """Draw a texture in two colours (clouds, stripes or checks) with shapes on it.

    Parameters
    ----------
    size
        Height and width in pixels.
    random
        Source of random numbers.

    Returns
    -------
    numpy.ndarray
        size x size x 3, float32 in [0, 1].

    Examples
    --------
    >>> draw_backdrop(32, np.random.default_rng(0)).shape
    (32, 32, 3)
    """
    low, high = random.random((2, 3), np.float32)
    texture = _TEXTURES[random.integers(len(_TEXTURES))](size, random)[..., None]
    return _draw_shapes(low + (high - low) * texture, random)


# Textures are size x size, float32 in [0, 1].


def _clouds(size: int, random: Generator) -> np.ndarray:
    coarse = _smooth_noise(size, int(random.integers(2, 7)), random)
    fine = _smooth_noise(size, int(random.integers(8, 33)), random)
    share = np.float32(random.uniform(0.1, 0.6))
    return coarse + share * (fine - coarse)


def _smooth_noise(size: int, cells: int, random: Generator) -> np.ndarray:
    noise = Image.fromarray(random.random((cells, cells), np.float32))
    return np.asarray(noise.resize((size, size), Image.Resampling.BILINEAR))


def _phases(size: int, random: Generator) -> tuple[np.ndarray, np.ndarray]:
    """Phases of two waves at a right angle to each other, each with 3 to 16 periods per side."""
    angle = random.uniform(0, np.pi)
    periods = random.uniform(3, 16)
    frequency = 2 * np.pi * periods / size
    offsets = random.uniform(0, 2 * np.pi, 2)
    positions = np.arange(size, dtype=np.float32)
    x = np.float32(frequency * np.cos(angle)) * positions
    y = np.float32(frequency * np.sin(angle)) * positions
    first = x[None, :] + y[:, None] + np.float32(offsets[0])
    second = x[:, None] - y[None, :] + np.float32(offsets[1])
    return first, second


def _stripes(size: int, random: Generator) -> np.ndarray:
    wave = np.sin(_phases(size, random)[0])
    stripes = np.clip(wave * np.float32(random.uniform(0.5, 6)) + 0.5, 0, 1)
    return _fade(stripes, size, random)


def _checks(size: int, random: Generator) -> np.ndarray:
    first, second = _phases(size, random)
    checks = (np.sin(first) > 0) ^ (np.sin(second) > 0)
    return _fade(checks.astype(np.float32), size, random)


def _fade(texture: np.ndarray, size: int, random: Generator) -> np.ndarray:
    """Lower a texture's contrast, by an amount that varies over the image."""
    clouds = _smooth_noise(size, 4, random)
    return clouds + np.float32(random.uniform(0.15, 0.7)) * (texture - clouds)


_TEXTURES: tuple[Callable[[int, Generator], np.ndarray], ...] = (
    _clouds,
    _clouds,
    _stripes,
    _checks,
)


def _draw_shapes(image: np.ndarray, random: Generator) -> np.ndarray:
    """Draw up to eight ellipses, rectangles, triangles and lines on an image."""
    size = len(image)
    canvas = Image.fromarray((image * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for kind in random.integers(4, size=random.integers(9)):
        colour = tuple(random.integers(256, size=3).tolist())
        scale, shift = (1.1, 1.1, 0.4, 0.4), (0.05 * size, 0.05 * size, -2, -2)
        x, y, width, height = (random.random(4) * size * scale - shift).tolist()
        line_width = int(random.integers(1, max(2, size // 24)))
        box = (x, y, x + width, y + height)
        if kind == 0:
            draw.ellipse(box, **_random_style(colour, line_width, random))
        elif kind == 1:
            draw.rectangle(box, **_random_style(colour, line_width, random))
        elif kind == 2:
            second = (x + width, y + random.random() * height)
            third = (x + random.random() * width, y + height)
            draw.polygon((x, y, *second, *third), colour)
        else:
            end = (random.random() * size, random.random() * size)
            draw.line((x, y, *end), colour, line_width)
    return np.asarray(canvas, np.float32) / 255


def _random_style(colour: _Colour, line_width: int, random: Generator) -> dict[str, Any]:
    """Arguments of Pillow that make a shape filled or outlined."""
    if random.random() < 0.5:
        return {"fill": colour}
    return {"outline": colour, "width": line_width}
