"""Planes: which label each element of a tensor has.

A plane is an integer tensor of the shape of the tensor that it describes. Along the dimensions
along which it is constant it has stride 0 (or size 1), so that it takes little memory. Label 0
means that an element has no label. A tensor may have several planes, as a matrix product whose
rows and columns can both be removed, but no two that vary along the same dimension.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Plane: TypeAlias = torch.Tensor
Planes: TypeAlias = list[torch.Tensor]


def varies(plane: Plane, dim: int) -> bool:
    """Whether a plane may have several labels along a dimension.

    Examples
    --------
    >>> plane = torch.arange(1, 4, dtype=torch.int32)[:, None].expand(3, 5)
    >>> varies(plane, 0), varies(plane, 1)
    (True, False)
    """
    return plane.shape[dim] > 1 and plane.stride(dim) != 0


def varying(plane: Plane) -> list[int]:
    """The dimensions along which a plane varies.

    Examples
    --------
    >>> varying(torch.arange(1, 4, dtype=torch.int32)[:, None].expand(3, 5))
    [0]
    """
    return [dim for dim in range(plane.dim()) if varies(plane, dim)]


def compact(plane: Plane) -> Plane:
    """A plane with size 1 along every dimension along which all its labels are the same.

    Examples
    --------
    >>> compact(torch.tensor([[1, 1], [2, 2]], dtype=torch.int32))
    tensor([[1],
            [2]], dtype=torch.int32)
    """
    for dim in range(plane.dim()):  # first, as it makes the comparisons shorter
        if plane.shape[dim] > 1 and plane.stride(dim) == 0:
            plane = plane.narrow(dim, 0, 1)
    for dim in range(plane.dim()):
        if plane.shape[dim] > 1:
            first = plane.narrow(dim, 0, 1)
            second = plane.narrow(dim, 1, 1)
            if torch.equal(first, second) and torch.equal(plane, first.expand_as(plane)):
                plane = first
    return plane


def spread(plane: Plane, shape: Sequence[int]) -> Plane:
    """A plane that broadcasts to a shape, in that shape, with stride 0 where it is constant.

    Examples
    --------
    >>> spread(torch.tensor([[1], [2]], dtype=torch.int32), (3, 2, 4)).shape
    torch.Size([3, 2, 4])
    """
    return compact(plane).expand(tuple(shape))


def reduced(plane: Plane, dims: Iterable[int], keepdim: bool = False) -> Plane:
    """A plane without some dimensions along which it does not vary.

    Examples
    --------
    >>> reduced(torch.tensor([[1], [2]], dtype=torch.int32).expand(2, 3), [1])
    tensor([1, 2], dtype=torch.int32)
    """
    for dim in sorted(dims, reverse=True):
        plane = plane.narrow(dim, 0, 1) if keepdim else plane.select(dim, 0)
    return plane


def labels_in(planes: Iterable[Plane]) -> NDArray[np.int64]:
    """The different labels of some planes, without 0.

    Examples
    --------
    >>> labels_in([torch.tensor([0, 2, 2], dtype=torch.int32), torch.tensor([1])])
    array([1, 2])
    """
    found = [compact(plane).reshape(-1).numpy().astype(np.int64) for plane in planes]
    labels = np.unique(np.concatenate([np.zeros(1, np.int64), *found]))
    return labels[labels > 0]
