"""Boxes: (centre x, centre y, width, height) or corners (left, top, right, bottom), in shares of the image."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST = 1e-12  # keeps the overlap of two points a number


def corners(boxes: Tensor) -> Tensor:
    """(centre x, centre y, width, height) as (left, top, right, bottom); last dimension 4."""
    centres, halves = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centres - halves, centres + halves], -1)


def overlaps(ones: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of boxes, given by their corners; all dimensions but the last are broadcast."""
    shared = _area(
        torch.maximum(ones[..., :2], others[..., :2]), torch.minimum(ones[..., 2:], others[..., 2:])
    )
    either = _area(ones[..., :2], ones[..., 2:]) + _area(others[..., :2], others[..., 2:]) - shared
    return shared / either.clamp(min=_LEAST)


def _area(left_top: Tensor, right_bottom: Tensor) -> Tensor:
    return (right_bottom - left_top).clamp(min=0).prod(-1)


def shape_overlaps(sizes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of all of N sizes with all of M, as if their centres fell together: N x 2, M x 2 -> N x M."""
    shared = torch.minimum(sizes[:, None], others[None]).prod(-1)
    return shared / (sizes.prod(-1)[:, None] + others.prod(-1)[None] - shared).clamp(min=_LEAST)
