"""Tensors of a network that share one storage, as the weights of recurrent layers on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .labels import storage_of


@contextmanager
def own_storages(network: nn.Module) -> Iterator[None]:
    """Let tensors that lie behind each other in a storage have their own in a ``with`` block.

    Labels are kept for storages. Tensors that overlap stay as they are.

    Examples
    --------
    >>> network = nn.Linear(2, 3)
    >>> flat = torch.rand(9)
    >>> network.weight.data, network.bias.data = flat[:6].view(3, 2), flat[6:]
    >>> with own_storages(network):
    ...     storage_of(network.weight) == storage_of(network.bias)
    False
    >>> storage_of(network.weight) == storage_of(network.bias)
    True
    """
    sharing: dict[int, list[torch.Tensor]] = {}
    for tensor in (*network.parameters(), *network.buffers()):
        sharing.setdefault(storage_of(tensor), []).append(tensor)
    apart = [
        tensor
        for tensors in sharing.values()
        if len(tensors) > 1 and not _overlap(tensors)
        for tensor in tensors
    ]
    before = [tensor.data for tensor in apart]
    for tensor in apart:
        tensor.data = tensor.data.clone()
    try:
        yield
    finally:
        for tensor, data in zip(apart, before):
            tensor.data = data


def _overlap(tensors: list[torch.Tensor]) -> bool:
    end = 0
    for tensor in sorted(tensors, key=torch.Tensor.storage_offset):
        start = int(tensor.storage_offset())
        if start < end:
            return True
        strides = zip(tensor.shape, tensor.stride())
        end = start + 1 + sum((size - 1) * stride for size, stride in strides)
    return False
