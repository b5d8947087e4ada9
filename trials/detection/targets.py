"""Truths of a batch, and which prediction answers for which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .boxes import shape_overlaps

PADDING = -1  # class of a row that stands for no box


def pad_targets(truths: Sequence[Tensor]) -> Tensor:
    """Stack the boxes of several images, n x 5 each, to B x N x 5, filled up with rows of class -1.

    A row is class, centre x, centre y, width, height, the last four in shares of the image.
    """
    most = max((len(rows) for rows in truths), default=0)
    padded = torch.zeros(len(truths), most, 5)
    padded[..., 0] = PADDING
    for image, rows in zip(padded, truths):
        image[: len(rows)] = rows.reshape(-1, 5)
    return padded


def present(targets: Tensor) -> Tensor:
    """Which rows of B x N x 5 targets are boxes: those with a class of at least 0, and an area."""
    return (targets[..., 0] >= 0) & (targets[..., 3:] > 0).all(-1)


class Assignment(NamedTuple):
    """The predictions that answer for a truth, one entry each."""

    image: Tensor
    anchor: Tensor
    row: Tensor
    column: Tensor
    truths: Tensor  # n x 5: class, centre x, centre y, width, height

    @property
    def where(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Indices into B x A x H x W."""
        return self.image, self.anchor, self.row, self.column


def assign(targets: Tensor, anchors: Tensor, height: int, width: int) -> Assignment:
    """Of every truth, the prediction of the anchor nearest in shape, in the cell of the truth's centre.

    Parameters
    ----------
    targets
        B x N x 5, as :func:`pad_targets` makes them. A centre beyond the image's border counts as in the cell there.
    anchors
        A x 2, in cells.
    height, width
        Cells of the output.

    Returns
    -------
    Assignment
        Of several truths with the same prediction it has the last of the targets, as Darknet has.
    """
    image, position = present(targets).nonzero(as_tuple=True)
    truths = targets[image, position]
    grid = targets.new_tensor([width, height])
    anchor = shape_overlaps(truths[:, 3:] * grid, anchors.to(targets)).argmax(1)
    column, row = (
        (truths[:, 1 + axis] * count).long().clamp(0, count - 1)
        for axis, count in enumerate((width, height))
    )
    slot = ((image * len(anchors) + anchor) * height + row) * width + column
    order = torch.arange(len(slot), device=slot.device)
    last = order.new_full((len(targets) * len(anchors) * height * width,), -1).scatter_reduce(
        0, slot, order, "amax"
    )
    keep = last[slot] == order
    return Assignment(*(values[keep] for values in (image, anchor, row, column, truths)))
