"""Images with labelled boxes, single and in batches, for detection."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Example(NamedTuple):
    """An image and the M objects in it.

    Attributes
    ----------
    image
        3 x H x W, uint8.
    boxes
        M x 4, float32: left, top, right and bottom edge in pixels.
    labels
        M class numbers, int64.
    difficult
        M booleans: whether it is no error to miss the object.
    """

    image: Tensor
    boxes: Tensor
    labels: Tensor
    difficult: Tensor


class EvaluationBatch(NamedTuple):
    """A batch of B images with at most N objects each.

    Attributes
    ----------
    images
        B x 3 x H x W, float32 in [0, 1].
    targets
        B x N x 5: rows (class, centre x, centre y, width, height). The last four are fractions of
        the image's width or height. Unused rows have class -1.
    difficult
        B x N booleans: whether it is no error to miss the object.
    """

    images: Tensor
    targets: Tensor
    difficult: Tensor


def collate(examples: list[Example]) -> EvaluationBatch:
    """Make a batch of examples whose images are of one size."""
    most = max(len(example.labels) for example in examples)
    targets = torch.zeros(len(examples), most, 5)
    targets[..., 0] = -1
    difficult = torch.zeros(len(examples), most, dtype=torch.bool)
    for row, example in enumerate(examples):
        count = len(example.labels)
        height, width = example.image.shape[1:]
        sides = torch.tensor([width, height], dtype=torch.float32)
        left_top, right_bottom = example.boxes[:, :2], example.boxes[:, 2:]
        targets[row, :count, 0] = example.labels.float()
        targets[row, :count, 1:3] = (left_top + right_bottom) / 2 / sides
        targets[row, :count, 3:] = (right_bottom - left_top) / sides
        difficult[row, :count] = example.difficult
    images = torch.stack([example.image for example in examples]).float().div_(255)
    return EvaluationBatch(images, targets, difficult)


def collate_for_training(examples: list[Example]) -> tuple[Tensor, Tensor]:
    """Images and targets as :func:`collate` makes them, without difficult objects."""
    batch = collate([select(example, ~example.difficult) for example in examples])
    return batch.images, batch.targets


def select(example: Example, chosen: Tensor) -> Example:
    """The example with only the objects that a boolean mask chooses."""
    return Example(
        example.image, example.boxes[chosen], example.labels[chosen], example.difficult[chosen]
    )


def resize(example: Example, size: int) -> Example:
    """Stretch the example's image, and its boxes, to size x size pixels."""
    height, width = example.image.shape[1:]
    if (height, width) == (size, size):
        return example
    image = functional.interpolate(
        example.image[None], size=(size, size), mode="bilinear", antialias=True
    )[0]
    scale = torch.tensor([width, height] * 2).reciprocal() * size
    return example._replace(image=image, boxes=example.boxes * scale)


def mirror(example: Example) -> Example:
    """Mirror the example left to right."""
    left, top, right, bottom = example.boxes.unbind(1)
    width = example.image.shape[2]
    boxes = torch.stack([width - right, top, width - left, bottom], 1)
    return example._replace(image=example.image.flip(2), boxes=boxes)


def clip_boxes(example: Example, min_size: float = 1.0) -> Example:
    """Clip boxes at the image's edges, and drop objects whose box is then too small.

    Parameters
    ----------
    example
        Any example. Its boxes may be inverted or NaN; such objects are dropped.
    min_size
        Least width and height of a clipped box, in pixels.

    Returns
    -------
    Example
        The same image with the objects that are left.
    """
    height, width = example.image.shape[1:]
    boxes = torch.minimum(example.boxes.clamp(min=0), torch.tensor([width, height] * 2))
    large_enough = ((boxes[:, 2:] - boxes[:, :2]) >= min_size).all(1)
    return select(example._replace(boxes=boxes), large_enough)
