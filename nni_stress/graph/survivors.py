"""Let a module compute on the survivors among its inputs only."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..utils.devices import on_device
from .following.attributes import set_sizes
from .following.follower import Axis
from .following.structure import Removed


class Survivors:
    """The survivors along a dimension of a tensor."""

    def __init__(self, dim: int, indices: Tensor, size: int):
        self.dim = dim
        self.indices = indices
        self.size = size

    def among_zeros(self, values: Tensor) -> Tensor:
        """Values of the survivors, with zeros in the places of all others."""
        shape = list(values.shape)
        shape[self.dim] = self.size
        indices = self.indices.to(values.device)
        return values.new_zeros(shape).index_copy(self.dim, indices, values)


def survivors_among(axes: list[Axis], gone: Removed, device: torch.device) -> Survivors | None:
    """The survivors along the first dimension that loses something; None if none does."""
    for axis in axes:
        dead = gone[axis.clusters]
        if dead.any():
            indices = on_device(torch.from_numpy(np.flatnonzero(~dead)), device)
            return Survivors(axis.dim, indices, len(dead))
    return None


def small_copy(module: nn.Module, slices: dict[str, Any]) -> nn.Module:
    """A copy of a module, without NNI's wrapper, in its small shape."""
    wrapper = vars(module).get("_modules", {}).get("_nni_wrapper")
    small = copy.copy(module)
    vars(small).update(
        {name: copy.copy(value) for name, value in vars(module).items() if isinstance(value, dict)}
    )
    for name in ("forward", *slices):  # which may be shown in place of the module's own
        vars(small).pop(name, None)
    if wrapper is not None:
        small._modules.pop("_nni_wrapper")  # noqa: SLF001, of the copy
    before = {}
    for leaf, slice_as in slices.items():
        tensor = getattr(module, leaf)
        if slice_as is None:
            continue
        before[leaf] = tensor.shape
        sliced = slice_as(tensor.detach())
        for table in (small._parameters, small._buffers):  # noqa: SLF001
            table.pop(leaf, None)
        small.register_parameter(leaf, nn.Parameter(sliced, requires_grad=False))
    if before:
        set_sizes(small, before)
    return small
