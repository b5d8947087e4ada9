"""Standard augmentation of examples for detection. What is random is drawn from torch's generator, as torchvision does."""

from __future__ import annotations

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from .examples import Example, flipped, inside, resized

# Of photographs: moved by up to a fifth, scaled by up to a third either way; brightness, contrast, saturation, hue.
_MOVED, _SMALLEST, _LARGEST, _COLOURS = 0.2, 0.75, 1.33, (0.3, 0.3, 0.3, 0.05)
_GREY = 127  # beyond the image's edge
_LEAST_LEFT = 0.3  # share of an object's box that must remain in the image


def flip(example: Example, size: int) -> Example:
    """The example at size x size, mirrored with probability 1/2."""
    example = resized(example, size)
    return flipped(example) if torch.rand(()) < 0.5 else example


def jitter(example: Example, size: int) -> Example:
    """The example at size x size, mirrored with probability 1/2, moved, scaled, and its colours changed."""
    scale = float(torch.empty(()).uniform_(_SMALLEST, _LARGEST))
    right, down = (torch.empty(2).uniform_(-_MOVED, _MOVED) * size).round().int().tolist()
    example = moved(flip(example, size), right, down, scale)
    return example._replace(image=v2.ColorJitter(*_COLOURS)(example.image))


def moved(example: Example, right: int, down: int, scale: float) -> Example:
    """The example scaled about its middle, then moved by so many pixels; objects of which too little remains go."""
    height, width = example.image.shape[1:]
    image = functional.affine(
        example.image,
        0.0,
        [right, down],
        scale,
        [0.0, 0.0],
        functional.InterpolationMode.BILINEAR,
        fill=[_GREY] * 3,
    )
    middle, way = torch.tensor([width / 2, height / 2] * 2), torch.tensor([right, down] * 2)
    boxes = (example.boxes - middle) * scale + middle + way
    left = _area(
        torch.minimum(boxes.clamp(min=0), torch.tensor([width, height] * 2))
    ) >= _LEAST_LEFT * _area(boxes)
    return inside(Example(image, boxes[left], example.labels[left], example.difficult[left]))


def _area(boxes: torch.Tensor) -> torch.Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
