"""An image with its objects, and batches of them as detectors take them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Example(NamedTuple):
    """An image, 3 x H x W bytes; its objects' boxes, M x 4, left, top, right, bottom in pixels; labels, M whole numbers;
    and whether each is too difficult to be counted as missed, M booleans.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    difficult: Tensor


class Evaluated(NamedTuple):
    """A batch to judge by: images, B x 3 x H x W in [0, 1]; targets, B x N x 5; difficult, B x N booleans."""

    images: Tensor
    targets: Tensor
    difficult: Tensor


def collated(examples: list[Example]) -> Evaluated:
    """Examples whose images are of one size, as a batch.

    A target is a row (class, x of the centre, y, width, height), all but the class as shares of the image's side. Rows that
    are left over have class -1.
    """
    most = max(len(example.labels) for example in examples)
    targets = torch.zeros(len(examples), most, 5)
    targets[..., 0] = -1
    difficult = torch.zeros(len(examples), most, dtype=torch.bool)
    for row, (image, boxes, labels, hard) in enumerate(examples):
        count, (height, width) = len(labels), image.shape[1:]
        sides = torch.tensor([width, height], dtype=torch.float32)
        targets[row, :count, 0] = labels.float()
        targets[row, :count, 1:3] = (boxes[:, :2] + boxes[:, 2:]) / 2 / sides
        targets[row, :count, 3:] = (boxes[:, 2:] - boxes[:, :2]) / sides
        difficult[row, :count] = hard
    return Evaluated(
        torch.stack([example.image for example in examples]).float().div_(255), targets, difficult
    )


def collated_for_training(examples: list[Example]) -> tuple[Tensor, Tensor]:
    """Images and targets as :func:`collated` makes them, without the objects that are difficult."""
    easy = [
        Example(image, boxes[~hard], labels[~hard], hard[~hard])
        for image, boxes, labels, hard in examples
    ]
    return collated(easy)[:2]


def resized(example: Example, size: int) -> Example:
    """The example with an image of size x size, whatever its form was."""
    height, width = example.image.shape[1:]
    if (height, width) == (size, size):
        return example
    image = functional.interpolate(
        example.image[None], size=(size, size), mode="bilinear", antialias=True
    )[0]
    return example._replace(
        image=image, boxes=example.boxes * (torch.tensor([width, height] * 2).reciprocal() * size)
    )


def flipped(example: Example) -> Example:
    """The example, mirrored left to right."""
    left, top, right, bottom = example.boxes.unbind(1)
    width = example.image.shape[2]
    return example._replace(
        image=example.image.flip(2),
        boxes=torch.stack([width - right, top, width - left, bottom], 1),
    )


def inside(example: Example, least: float = 1.0) -> Example:
    """The example with its boxes cut at the image's edges; objects whose box is then narrower than `least` pixels go."""
    height, width = example.image.shape[1:]
    boxes = torch.minimum(example.boxes.clamp(min=0), torch.tensor([width, height] * 2))
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= least).all(
        1
    )  # False where a box is inside out, or not a number
    return Example(example.image, boxes[kept], example.labels[kept], example.difficult[kept])
