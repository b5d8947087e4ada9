"""Copies of networks."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

Network = TypeVar("Network", bound=nn.Module)


def copy_of(network: Network, share_weights: bool = False) -> Network:
    """A copy of a network, also of one that holds on to activations, which torch cannot copy.

    Parameters
    ----------
    network
        Any network.
    share_weights
        Whether the copy has the same parameters, so that it takes little memory.

    Examples
    --------
    >>> network = nn.Linear(2, 1)
    >>> network.last = network(torch.rand(1, 2))
    >>> copied = copy_of(network)
    >>> copied.last is network.last, copied.weight is network.weight
    (True, False)
    """
    held = tree_leaves([list(vars(module).values()) for module in network.modules()])
    shared = [each for each in held if isinstance(each, torch.Tensor) and not each.is_leaf]
    if share_weights:
        shared += network.parameters()
    return copy.deepcopy(network, {id(each): each for each in shared})
