"""Training and evaluation mode, module by module."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode for the duration of a ``with`` block.

    Afterwards every module is back in the mode it was in before, also where modules of one network
    were in different modes.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with evaluating(network):
    ...     network.training
    False
    >>> network.training
    True
    """
    with _keeping_modes(network):
        network.eval()
        yield network


def forget_caches(network: nn.Module) -> None:
    """Let modules forget what they have computed from their weights for evaluation.

    Modules that keep such results, as attention biases, drop them when training mode is set. The
    mode of every module stays.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2)).eval()
    >>> forget_caches(network)
    >>> network.training
    False
    """
    with _keeping_modes(network):
        network.train()


@contextmanager
def _keeping_modes(network: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
