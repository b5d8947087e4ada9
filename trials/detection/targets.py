"""Targets of a batch, and the predictions that are responsible for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import shape_iou

PADDING = -1  # class of rows that are no box


def pad_targets(boxes: Sequence[Tensor]) -> Tensor:
    """Stack the boxes of several images to one tensor.

    Parameters
    ----------
    boxes
        For each image n x 5: rows (class, centre x, centre y, width, height).

    Returns
    -------
    torch.Tensor
        B x N x 5, padded with rows of class -1.

    Examples
    --------
    >>> one_box, none = torch.tensor([[2, 0.5, 0.5, 0.1, 0.1]]), torch.zeros(0, 5)
    >>> pad_targets([one_box, none])[..., 0]
    tensor([[ 2.],
            [-1.]])
    """
    most = max((len(rows) for rows in boxes), default=0)
    padded = torch.zeros(len(boxes), most, 5)
    padded[..., 0] = PADDING
    for image, rows in zip(padded, boxes):
        image[: len(rows)] = rows.reshape(-1, 5)
    return padded


def is_box(targets: Tensor) -> Tensor:
    """Whether rows of targets, ... x 5, are boxes: those with a class of at least 0 and an area."""
    return (targets[..., 0] >= 0) & (targets[..., 3:] > 0).all(-1)


class Assignment(NamedTuple):
    """Boxes and the predictions that are responsible for them, one entry per pair.

    Attributes
    ----------
    image, anchor, row, column
        Position of each prediction in a B x A x H x W grid.
    boxes
        n x 5: class, centre x, centre y, width, height.
    """

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    boxes: Tensor

    @property
    def indices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Index of the predictions in a tensor of shape B x A x H x W x ..."""
        return self.image, self.anchor, self.row, self.column


def assign(targets: Tensor, anchors: Tensor, height: int, width: int) -> Assignment:
    """Find the prediction that is responsible for each box.

    It is the one of the anchor of the most similar shape, in the cell that holds the box's centre.

    Parameters
    ----------
    targets
        B x N x 5, as :func:`pad_targets` makes them. A centre beyond the image's border counts as
        in the cell at the border.
    anchors
        A x 2, in cells.
    height, width
        Number of cells of the output grid.

    Returns
    -------
    Assignment
        Predictions and their boxes. If a prediction would be responsible for several boxes, it gets
        the last of them, as in Darknet.
    """
    image, position = is_box(targets).nonzero(as_tuple=True)
    boxes = targets[image, position]
    grid = targets.new_tensor([width, height])
    anchor = shape_iou(boxes[:, 3:] * grid, anchors.to(targets)).argmax(1)
    column = (boxes[:, 1] * width).long().clamp(0, width - 1)
    row = (boxes[:, 2] * height).long().clamp(0, height - 1)
    prediction = ((image * len(anchors) + anchor) * height + row) * width + column
    order = torch.arange(len(prediction), device=prediction.device)
    last = order.new_full((len(targets) * len(anchors) * height * width,), -1)
    last = last.scatter_reduce(0, prediction, order, "amax")
    keep = last[prediction] == order
    return Assignment(*(values[keep] for values in (image, anchor, row, column, boxes)))
