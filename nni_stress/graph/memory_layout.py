"""Memory layout of tensors: channels first or last."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def memory_format_of(network: nn.Module) -> torch.memory_format:
    """Memory format of a network's convolutions: channels last if any weight is in it.

    Examples
    --------
    >>> memory_format_of(nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last))
    torch.channels_last
    >>> memory_format_of(nn.Linear(3, 8))
    torch.contiguous_format
    """
    # A tensor with a single channel is in both formats.
    channels_last = any(
        tensor.dim() == 4
        and tensor.is_contiguous(memory_format=torch.channels_last)
        and not tensor.is_contiguous()
        for tensor in network.parameters()
    )
    return torch.channels_last if channels_last else torch.contiguous_format


def laid_out_as(parameter: torch.Tensor, remembered: Any) -> Any:
    """Bring a tensor of an optimizer's state into the memory layout of its parameter.

    Fused optimizers rely on equal layouts.

    Parameters
    ----------
    parameter
        The parameter.
    remembered
        What an optimizer's state holds for it: a tensor or anything else.

    Returns
    -------
    object
        A copy with the parameter's strides, or `remembered` itself if its strides are the same
        already, or if it is not a tensor of the parameter's shape.

    Examples
    --------
    >>> weight = torch.rand(3, 2).T
    >>> laid_out_as(weight, torch.rand(2, 3)).stride() == weight.stride()
    True
    """
    if getattr(remembered, "shape", None) != parameter.shape:
        return remembered
    if remembered.stride() == parameter.stride():
        return remembered
    copy = torch.empty_like(parameter, dtype=remembered.dtype, requires_grad=False)
    return copy.copy_(remembered)
