"""What garments of a scene lie on: textures and clutter. Arrays are H x W x 3, float32 in [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw


def backdrop(size: int, random: Generator) -> np.ndarray:
    """A texture in two colours (clouds, stripes or checks, of any direction) under some shapes, size x size x 3."""
    one, other = random.random((2, 3), np.float32)
    mixture = _PATTERNS[random.integers(len(_PATTERNS))](size, random)[..., None]
    return _shapes(one + (other - one) * mixture, random)


def _clouds(size: int, random: Generator) -> np.ndarray:
    coarse, fine = (
        _smooth(size, int(random.integers(*cells)), random) for cells in ((2, 7), (8, 33))
    )
    share = np.float32(random.uniform(0.1, 0.6))
    return coarse + share * (fine - coarse)


def _smooth(size: int, cells: int, random: Generator) -> np.ndarray:
    noise = Image.fromarray(random.random((cells, cells), np.float32))
    return np.asarray(noise.resize((size, size), Image.Resampling.BILINEAR))


def _waves(size: int, random: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The phases, size x size, of two waves across each other, 3 to 16 of them on the image's side."""
    angle, count = random.uniform(0, np.pi), random.uniform(3, 16)
    frequency, offsets = 2 * np.pi * count / size, random.uniform(0, 2 * np.pi, 2)
    along = np.arange(size, dtype=np.float32)
    x, y = (np.float32(frequency * factor) * along for factor in (np.cos(angle), np.sin(angle)))
    return x[None, :] + y[:, None] + np.float32(offsets[0]), x[:, None] - y[None, :] + np.float32(
        offsets[1]
    )


def _stripes(size: int, random: Generator) -> np.ndarray:
    wave = np.sin(_waves(size, random)[0])
    return _faded(np.clip(wave * np.float32(random.uniform(0.5, 6)) + 0.5, 0, 1), size, random)


def _checks(size: int, random: Generator) -> np.ndarray:
    first, second = _waves(size, random)
    return _faded(((np.sin(first) > 0) ^ (np.sin(second) > 0)).astype(np.float32), size, random)


def _faded(pattern: np.ndarray, size: int, random: Generator) -> np.ndarray:
    """A pattern whose contrast is lower, and changes over the image."""
    clouds = _smooth(size, 4, random)
    return clouds + np.float32(random.uniform(0.15, 0.7)) * (pattern - clouds)


_PATTERNS = (_clouds, _clouds, _stripes, _checks)


def _shapes(image: np.ndarray, random: Generator) -> np.ndarray:
    """The image under up to eight ellipses, boxes, triangles and lines."""
    size = len(image)
    canvas = Image.fromarray((image * 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    for kind in random.integers(4, size=random.integers(9)):
        colour = tuple(random.integers(256, size=3).tolist())
        x, y, width, height = (
            random.random(4) * size * (1.1, 1.1, 0.4, 0.4) - (0.05 * size, 0.05 * size, -2, -2)
        ).tolist()
        line = int(random.integers(1, max(2, size // 24)))
        if kind == 0:
            draw.ellipse(
                (x, y, x + width, y + height),
                *((colour,) if random.random() < 0.5 else (None, colour, line)),
            )
        elif kind == 1:
            draw.rectangle(
                (x, y, x + width, y + height),
                *((colour,) if random.random() < 0.5 else (None, colour, line)),
            )
        elif kind == 2:
            draw.polygon(
                (
                    x,
                    y,
                    x + width,
                    y + random.random() * height,
                    x + random.random() * width,
                    y + height,
                ),
                colour,
            )
        else:
            draw.line((x, y, random.random() * size, random.random() * size), colour, line)
    return np.asarray(canvas, np.float32) / 255
