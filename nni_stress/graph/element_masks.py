"""Masks of the elements of tensors that belong to removed clusters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from .following.structure import LabelledTensor, Removed


def masks_of_parameters(
    module: nn.Module, leaves: dict[str, LabelledTensor], gone: Removed
) -> dict[tuple[nn.Module, str], tuple[nn.Parameter, Tensor]]:
    """Masks of the parameters of a module that lose something."""
    found = {}
    for leaf, tensor in leaves.items():
        # NNI's wrapper has the parameter of a layer whose weight another module reads.
        owner = getattr(module, "_nni_wrapper", module)
        parameter = owner._parameters.get(leaf)  # noqa: SLF001, buffers are left out
        mask = None if parameter is None else mask_of(tensor, gone)
        if parameter is not None and mask is not None:
            found[module, leaf] = parameter, mask
    return found


def masking(mask: Tensor) -> Callable[..., Tensor]:
    """A hook that masks what a module returns."""
    return lambda module, args, output: output * mask.to(output.device, output.dtype)


def input_axis(module: nn.Module, weight: LabelledTensor) -> tuple[int | None, NDArray[np.int64]]:
    """The dimension of a layer's input that its weight reads, and the clusters along it."""
    if weight.grouped is not None:
        return 1 - len(weight.dims), weight.grouped.reshape(-1)
    if isinstance(module, _ConvNd):
        inputs = weight.dims[0 if module.transposed else 1]
        # In a depthwise convolution each channel has its own filter, which is masked by itself.
        return (None if module.groups > 1 else 1 - len(weight.dims)), inputs
    if isinstance(module, nn.Linear):
        return -1, weight.dims[1]
    if type(module).__name__ == "Conv1D":
        return -1, weight.dims[0]
    return None, weight.dims[0]


def mask_of(tensor: LabelledTensor, gone: Removed) -> Tensor | None:
    """A mask that broadcasts to a tensor; None if it loses nothing."""
    mask: Tensor | None = None
    for dim, clusters in enumerate(tensor.dims):
        alive = ~gone[clusters]
        if not alive.all():
            shape = [-1 if index == dim else 1 for index in range(len(tensor.dims))]
            own = torch.from_numpy(alive).view(shape)
            mask = own if mask is None else mask & own
    if tensor.grouped is not None:
        alive = ~gone[tensor.grouped]
        if not alive.all():
            rows = tensor.shape[0] // len(alive)
            own = torch.from_numpy(alive).repeat_interleave(rows, 0)
            own = own.view(*own.shape, *[1] * (len(tensor.dims) - 2))
            mask = own if mask is None else mask & own
    return mask
