"""What YOLOv2's outputs say: a box, an objectness and classes of every anchor in every cell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LARGEST = 8.0  # exponent of a size at most: e^8 times an anchor is larger than any image, and still a number


class Predictions(NamedTuple):
    """Of every image, anchor, row and column (B x A x H x W), before any sigmoid, exponential or softmax."""

    centres: Tensor  # ... x 2, x first
    sizes: Tensor  # ... x 2, width first
    objectness: Tensor
    classes: Tensor  # ... x C


def split(outputs: Tensor, anchors: int) -> Predictions:
    """Take outputs apart: B x anchors * (5 + C) x H x W, of each anchor x, y, width, height, objectness, C classes.

    Raises
    ------
    ValueError
        If the number of channels is no such product.
    """
    if outputs.dim() != 4 or outputs.shape[1] % anchors or outputs.shape[1] // anchors < 6:
        raise ValueError(
            f"outputs for {anchors} anchors must be B x {anchors} * (5 + classes) x H x W, "
            f"but got {' x '.join(map(str, outputs.shape))}"
        )
    values = outputs.unflatten(1, (anchors, -1)).permute(0, 1, 3, 4, 2)
    return Predictions(values[..., :2], values[..., 2:4], values[..., 4], values[..., 5:])


def boxes(predictions: Predictions, anchors: Tensor) -> Tensor:
    """The boxes predicted, B x A x H x W x 4: centre x, centre y, width, height, in shares of the image.

    A centre is the sigmoid of its prediction, in its cell; a size is the exponential of its prediction, times the anchor
    (A x 2, in cells).
    """
    height, width = predictions.objectness.shape[2:]
    rows, columns = (torch.arange(count).to(anchors) for count in (height, width))
    cells = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], -1)
    grid = anchors.new_tensor([width, height])
    centres = (torch.sigmoid(predictions.centres) + cells) / grid
    sizes = predictions.sizes.clamp(max=LARGEST).exp() * anchors[:, None, None] / grid
    return torch.cat([centres, sizes], -1)
