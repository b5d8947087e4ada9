"""Interpretation of YOLOv2's raw outputs: box, objectness and classes for each anchor and cell."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_MAX_EXPONENT = 8.0  # e^8 times an anchor is larger than any image, and still finite


class Predictions(NamedTuple):
    """Raw predictions of each image, anchor, row and column: before sigmoid, exp and softmax.

    Attributes
    ----------
    centres
        B x A x H x W x 2, x first.
    sizes
        B x A x H x W x 2, width first.
    objectness
        B x A x H x W.
    classes
        B x A x H x W x C.
    """

    centres: Tensor
    sizes: Tensor
    objectness: Tensor
    classes: Tensor


def split_outputs(outputs: Tensor, anchors: int) -> Predictions:
    """Split the network's outputs into its predictions.

    Parameters
    ----------
    outputs
        B x anchors * (5 + C) x H x W: for each anchor x, y, width, height, objectness, C classes.
    anchors
        Number of anchors.

    Returns
    -------
    Predictions
        Views of the outputs.

    Raises
    ------
    ValueError
        If the number of channels does not fit the number of anchors.

    Examples
    --------
    >>> split_outputs(torch.zeros(2, 5 * (5 + 20), 13, 13), anchors=5).classes.shape
    torch.Size([2, 5, 13, 13, 20])
    """
    if outputs.dim() != 4 or outputs.shape[1] % anchors or outputs.shape[1] // anchors < 6:
        raise ValueError(
            f"outputs for {anchors} anchors must be B x {anchors} * (5 + classes) x H x W, "
            f"but got {' x '.join(map(str, outputs.shape))}"
        )
    values = outputs.unflatten(1, (anchors, -1)).permute(0, 1, 3, 4, 2)
    return Predictions(values[..., :2], values[..., 2:4], values[..., 4], values[..., 5:])


def predicted_boxes(predictions: Predictions, anchors: Tensor) -> Tensor:
    """Compute the predicted boxes.

    A centre is the sigmoid of its prediction, relative to its cell. A size is the exponential of
    its prediction times the anchor.

    Parameters
    ----------
    predictions
        Raw predictions.
    anchors
        A x 2, in cells.

    Returns
    -------
    torch.Tensor
        B x A x H x W x 4: centre x, centre y, width and height in fractions of the image.
    """
    height, width = predictions.objectness.shape[2:]
    rows, columns = (torch.arange(count).to(anchors) for count in (height, width))
    cells = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], -1)
    grid = anchors.new_tensor([width, height])
    centres = (torch.sigmoid(predictions.centres) + cells) / grid
    sizes = predictions.sizes.clamp(max=_MAX_EXPONENT).exp() * anchors[:, None, None] / grid
    return torch.cat([centres, sizes], -1)
