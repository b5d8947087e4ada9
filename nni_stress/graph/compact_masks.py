"""Masks without memory, and without time, for single synapses (weights)."""

from __future__ import annotations

import torch
from torch import Tensor


def compact(mask: Tensor) -> Tensor:
    """Copy a mask, without memory for single synapses if each cluster is masked as a whole.

    A mask on the meta device, where it has no values, counts as one that removes nothing.

    Examples
    --------
    >>> compact(torch.tensor([[1.0, 1.0], [0.0, 0.0]])).stride()
    (1, 0)
    """
    if mask.is_meta:
        return mask.new_ones((), device="cpu").expand(mask.shape)
    own = collapsed(mask)
    if own.dim() < 2 or own.numel() < mask.numel():
        return own.clone().expand_as(mask)
    clusters = own[(slice(None),) + (slice(1),) * (own.dim() - 1)]
    if torch.equal(clusters.expand_as(own), own):
        return clusters.clone().expand_as(mask)
    return own.clone()


def collapsed(mask: Tensor) -> Tensor:
    """A mask in which dimensions are of size 1 along which it was expanded.

    Examples
    --------
    >>> collapsed(torch.ones(3, 1).expand(3, 4)).shape
    torch.Size([3, 1])
    """
    sizes = zip(mask.shape, mask.stride())
    return mask[tuple(slice(1) if stride == 0 and size else slice(None) for size, stride in sizes)]


def removes_nothing(mask: Tensor) -> bool:
    """Whether a mask has no zeros.

    Examples
    --------
    >>> removes_nothing(torch.ones(()).expand(3, 4))
    True
    """
    return bool(collapsed(mask).all())
