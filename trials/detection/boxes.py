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
    shared = (torch.minimum(ones[..., 2:], others[..., 2:]) - torch.maximum(ones[..., :2], others[..., :2])).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1) for boxes in (ones, others)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=_LEAST)


def shape_overlaps(sizes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of all of N sizes with all of M, as if their centres fell together: N x 2, M x 2 -> N x M."""
    shared = torch.minimum(sizes[:, None], others[None]).prod(-1)
    return shared / (sizes.prod(-1)[:, None] + others.prod(-1)[None] - shared).clamp(min=_LEAST)
