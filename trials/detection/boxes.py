"""Intersection over union (IoU) of boxes.

A box is (centre x, centre y, width, height) or its corners (left, top, right, bottom), in fractions
of the image's width and height.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MIN_AREA = 1e-12  # the IoU of two boxes without an area is 0, not NaN


def to_corners(boxes: Tensor) -> Tensor:
    """Convert (centre x, centre y, width, height) to (left, top, right, bottom).

    Parameters
    ----------
    boxes
        Tensor whose last dimension has size 4.

    Returns
    -------
    torch.Tensor
        Tensor of the same shape.

    Examples
    --------
    >>> to_corners(torch.tensor([0.5, 0.5, 0.5, 1.0]))
    tensor([0.2500, 0.0000, 0.7500, 1.0000])
    """
    centres, halves = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centres - halves, centres + halves], -1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes given by their corners.

    Parameters
    ----------
    first, second
        ... x 4; all dimensions but the last are broadcast.

    Returns
    -------
    torch.Tensor
        IoU in [0, 1], of the broadcast shape without the last dimension.

    Examples
    --------
    >>> iou(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.5, 0.0, 1.0, 1.0]))
    tensor(0.5000)
    """
    intersection = _area(
        torch.maximum(first[..., :2], second[..., :2]),
        torch.minimum(first[..., 2:], second[..., 2:]),
    )
    areas = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:])
    return intersection / (areas - intersection).clamp(min=_MIN_AREA)


def _area(left_top: Tensor, right_bottom: Tensor) -> Tensor:
    return (right_bottom - left_top).clamp(min=0).prod(-1)


def shape_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of all pairs of two sets of boxes, as if all had the same centre.

    Parameters
    ----------
    first, second
        Widths and heights, N x 2 and M x 2.

    Returns
    -------
    torch.Tensor
        N x M, in [0, 1].
    """
    intersection = torch.minimum(first[:, None], second[None]).prod(-1)
    union = first.prod(-1)[:, None] + second.prod(-1)[None] - intersection
    return intersection / union.clamp(min=_MIN_AREA)
