"""Random changes of training examples for detection.

Random numbers come from torch's global generator, as in torchvision's transforms.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from .examples import Example, clip_boxes, mirror, resize, select

_MAX_SHIFT = 0.2  # fraction of the image's side
_MIN_SCALE = 0.75
_MAX_SCALE = 1.33
_COLOUR_JITTER = (0.3, 0.3, 0.3, 0.05)  # brightness, contrast, saturation, hue
_FILL = 127  # grey level of pixels from beyond the image's edge
_MIN_VISIBLE = 0.3  # fraction of an object's box that must stay within the image


def flip(example: Example, size: int) -> Example:
    """Resize an example to size x size, and mirror it with probability 1/2."""
    example = resize(example, size)
    return mirror(example) if torch.rand(()) < 0.5 else example


def jitter(example: Example, size: int) -> Example:
    """Resize an example to size x size, and mirror, shift, scale and recolour it at random."""
    scale = float(torch.empty(()).uniform_(_MIN_SCALE, _MAX_SCALE))
    shift = torch.empty(2).uniform_(-_MAX_SHIFT, _MAX_SHIFT) * size
    right, down = shift.round().int().tolist()
    example = shift_and_scale(flip(example, size), right, down, scale)
    return example._replace(image=v2.ColorJitter(*_COLOUR_JITTER)(example.image))


def shift_and_scale(example: Example, right: int, down: int, scale: float) -> Example:
    """Scale an example about its centre, then shift it; drop objects that leave the image.

    Parameters
    ----------
    example
        The example.
    right, down
        Shift in pixels.
    scale
        Factor of the size of all objects.

    Returns
    -------
    Example
        An image of the same size, and the objects of whose boxes at least 0.3 are within it.
    """
    height, width = example.image.shape[1:]
    image = functional.affine(
        example.image,
        0.0,
        [right, down],
        scale,
        [0.0, 0.0],
        functional.InterpolationMode.BILINEAR,
        fill=[_FILL] * 3,
    )
    centre = torch.tensor([width / 2, height / 2] * 2)
    boxes = (example.boxes - centre) * scale + centre + torch.tensor([right, down] * 2)
    clipped = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height] * 2))
    visible = _areas(clipped) >= _MIN_VISIBLE * _areas(boxes)
    return clip_boxes(select(example._replace(image=image, boxes=boxes), visible))


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
