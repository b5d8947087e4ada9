"""What the zoo knows of a network before it is built."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Entry:
    """A network of the zoo.

    Parameters
    ----------
    name
        Its name in the record.
    make
        Makes the network, with random weights.
    inputs
        Makes one batch of inputs: a tensor, or a tuple of several.
    package
        The package that it comes from, if it is none that this project needs anyway.
    heads
        Number of attention heads, for tools that must be told.
    resource
        What a budget halves.
    outputs
        Layers of the network's outputs, which stay. They are found out by default.

    Examples
    --------
    >>> Entry("linear", lambda: nn.Linear(2, 3), lambda: torch.rand(4, 2)).resource
    'macs'
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    package: str | None = None
    heads: int | None = None
    resource: str = "macs"
    outputs: tuple[str, ...] | None = None

    @property
    def missing(self) -> str | None:
        """The package that it comes from, if that is not installed."""
        if self.package is None or importlib.util.find_spec(self.package) is not None:
            return None
        return self.package


def images(size: int = 64, batch: int = 2, channels: int = 3) -> Callable[[], torch.Tensor]:
    """What makes a batch of random images.

    Examples
    --------
    >>> images(8)().shape
    torch.Size([2, 3, 8, 8])
    """
    return lambda: torch.randn(batch, channels, size, size)


def tokens(length: int = 16, vocabulary: int = 100, batch: int = 2) -> Callable[[], torch.Tensor]:
    """What makes a batch of random words, by number.

    Examples
    --------
    >>> tokens(5)().shape
    torch.Size([2, 5])
    """
    return lambda: torch.randint(3, vocabulary, (batch, length))
