"""Small networks to follow, and what is to be found in them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Case:
    """A network and what of it can shrink.

    Parameters
    ----------
    make
        Makes the network.
    inputs
        Makes one batch of inputs, of two examples.
    groups
        The groups that are to be found, each as ``"layers: clusters"`` with blocks, if any, as
        ``"layers: clusters in blocks"``. A group that is the outputs of no layer is named by the
        first tensor that has its clusters, in parentheses.
    frozen
        For layers that are to stay, or some outputs of which are, a part of the reason.
    narrow
        The groups that are to be found if attentions lose width in place of heads.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    groups: Sequence[str]
    frozen: Mapping[str, str] = field(default_factory=dict)
    narrow: Sequence[str] = ()


class Cases(dict[str, Case]):
    """Cases by name."""

    def add(
        self,
        inputs: Callable[[], Any],
        *groups: str,
        frozen: Mapping[str, str] | None = None,
        name: str | None = None,
        narrow: Sequence[str] = (),
    ) -> Callable[[Any], Any]:
        """A decorator that enters a class or function that makes a network."""

        def enter(make: Any) -> Any:
            self[name or make.__name__] = Case(make, inputs, groups, frozen or {}, narrow)
            return make

        return enter


def values(*shape: int) -> Callable[[], torch.Tensor]:
    """Makes a batch of two random examples of a shape."""
    return lambda: torch.randn(2, *shape)


def words(length: int = 5, of: int = 11) -> Callable[[], torch.Tensor]:
    """Makes a batch of two random sequences of words."""
    return lambda: torch.randint(of, (2, length))


IMAGES = values(3, 6, 6)
VECTORS = values(5)
SEQUENCES = values(5, 12)


class Pooled(nn.Module):
    """Layers for images, then the mean over positions and a linear layer."""

    def __init__(self, *layers: nn.Module, outputs: int):
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(outputs, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(images).flatten(2).mean(2))
