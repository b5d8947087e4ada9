"""Tensors on devices."""

from __future__ import annotations

import torch


def on_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Values on a device; a GPU goes on with its work meanwhile.

    Examples
    --------
    >>> on_device(torch.ones(2), torch.device("cpu"))
    tensor([1., 1.])
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
