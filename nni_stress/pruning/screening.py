"""Screening: candidate offspring are judged untrained, by their loss on held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..utils.batches import answer, arguments_of, first
from ..utils.module_modes import evaluating


class Judged(NamedTuple):
    """How the architecture of an offspring was chosen.

    Parameters
    ----------
    loss
        Loss of the offspring, untrained, on the examples of the screen.
    number
        How many architectures were judged.

    Examples
    --------
    >>> Judged(loss=1.5, number=200).number
    200
    """

    loss: float
    number: int


class Screen:
    """Judges a network, untrained, by its loss on held-out examples.

    Parameters
    ----------
    inputs, targets
        One batch of validation examples, in the order in which rounds take them.
    loss
        Loss of (outputs, targets), a scalar.

    Raises
    ------
    ValueError
        If there are no examples, or not as many targets as inputs.

    Examples
    --------
    >>> screen = Screen(torch.zeros(8, 3), torch.ones(8, 1), nn.functional.mse_loss)
    >>> screen(nn.Linear(3, 1, bias=False), examples=4)
    1.0
    """

    def __init__(self, inputs: Any, targets: Any, loss: Callable[[Any, Any], Tensor]):
        self.examples = len(arguments_of(inputs)[0])
        first(targets, self.examples, self.examples)  # raises if the numbers differ
        if not self.examples:
            raise ValueError("screening needs examples, but got 0 and 0")
        self.inputs = inputs
        self.targets = targets
        self.loss = loss

    @torch.no_grad()
    def __call__(self, network: nn.Module, examples: int) -> float:
        """Loss of the network on the first examples.

        Its batch norms take the statistics of these examples; their own are left alone.

        Parameters
        ----------
        network
            The network, on the device of the examples.
        examples
            How many examples to judge it on.

        Returns
        -------
        float
            The loss.
        """
        inputs = tuple(batch[:examples] for batch in arguments_of(self.inputs))
        targets = first(self.targets, examples, self.examples)
        with evaluating(network), _own_statistics(network):
            return float(self.loss(answer(network, inputs), targets))


@contextmanager
def _own_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch norms take the statistics of the batch alone."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    try:
        for norm in norms:
            norm.train()
            norm.track_running_stats = False  # they are not updated
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
