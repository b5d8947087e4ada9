"""Copies of networks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

Network = TypeVar("Network", bound=nn.Module)


def copy_of(network: Network, shared: Iterable[torch.Tensor] = ()) -> Network:
    """A copy of a network, also of one that holds on to activations, which torch cannot copy.

    Parameters
    ----------
    network
        Any network.
    shared
        Parameters and buffers that the copy shares, so that it takes less memory.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> network.last = network(torch.rand(1, 2))
    >>> copied = copy_of(network)
    >>> copied.last is network.last, copied.weight is network.weight
    (True, False)
    """
    return copier(network, shared)()


def copier(network: Network, shared: Iterable[torch.Tensor] = ()) -> Callable[[], Network]:
    """A function that makes copies of a network that does not change meanwhile.

    Parameters
    ----------
    network, shared
        As of :func:`copy_of`.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> copied = copier(network, network.parameters())
    >>> copied() is copied(), copied().weight is network.weight
    (False, True)
    """
    held = tree_leaves([list(vars(module).values()) for module in network.modules()])
    kept = [each for each in held if isinstance(each, torch.Tensor) and not each.is_leaf]
    known: dict[int, Any] = {id(each): each for each in [*kept, *shared]}
    return lambda: copy.deepcopy(network, dict(known))
