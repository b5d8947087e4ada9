"""Screening: many candidate offspring are judged untrained, and only the best is synthesized."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..utils.batches import answer, arguments_of, first
from ..utils.module_modes import evaluating
from .functional.allocation import TOLERANCE

# Standard deviation of the logarithm of a group's size among candidates.
SPREAD = 0.5


def candidates(
    keep: Sequence[int],
    sizes: Sequence[int],
    floors: Sequence[int],
    multiples: Sequence[int],
    cost: Callable[[Sequence[Any]], Any],
    budget: float,
    number: int,
    generator: torch.Generator,
) -> list[list[int]]:
    """Draw architectures around one, at nearly the same cost.

    Parameters
    ----------
    keep
        How many clusters (output channels or neurons) each group keeps in the architecture to draw
        around, which is the first of the candidates.
    sizes
        For each group, how many clusters it has.
    floors
        For each group, how few it may keep; its size if it is frozen.
    multiples
        For each group, what its number of clusters must be a multiple of.
    cost
        Costs of architectures, in the unit of `budget`: takes an array for each group, with one
        entry for each architecture.
    budget
        Highest cost of a candidate; its least cost is 97 % of that.
    number
        Number of candidates wanted. Fewer are returned if a hundred draws for each find no more.
    generator
        Generator of the draws, on the CPU.

    Returns
    -------
    list
        Architectures without duplicates, as the number of clusters each group keeps.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> found = candidates([10, 10], [20, 20], [1, 1], [1, 1], sum, 20.0, 3, generator)
    >>> found[0], len(found), {sum(keep) for keep in found}
    ([10, 10], 3, {20})
    """
    found = {tuple(keep): None}
    center, whole, least, steps = map(np.asarray, (keep, sizes, floors, multiples))
    for _ in range(100):
        if len(found) >= number:
            break
        noise = torch.randn(number, len(sizes), generator=generator, dtype=torch.float64)
        factors = noise.mul_(SPREAD).exp_().numpy()
        drawn = np.clip(np.rint(center * factors / steps).astype(int) * steps, least, whole)
        costs = cost(list(drawn.T))
        fitting = drawn[((1 - TOLERANCE) * budget <= costs) & (costs <= budget)]
        found.update(dict.fromkeys(map(tuple, fitting.tolist())))
    return [list(architecture) for architecture in found][:number]


def fittest(count: int, judge: Callable[[int, int], float], examples: int, rounds: int = 3) -> int:
    """Find the candidate of least loss by successive halving.

    Each round judges the best quarter of the last one on four times as many examples, so that every
    round takes about the same time, and poor candidates take little (Jamieson and Talwalkar, arXiv
    1502.07943).

    Parameters
    ----------
    count
        Number of candidates.
    judge
        Loss of (candidate, number of examples). A loss that is not finite is the worst.
    examples
        How many examples the last round may use.
    rounds
        Number of rounds.

    Returns
    -------
    int
        Index of the best candidate, the first of equals.

    Examples
    --------
    >>> fittest(10, lambda candidate, examples: abs(candidate - 7), examples=64)
    7
    """
    remaining = list(range(count))
    for rounds_left in reversed(range(rounds)):
        if len(remaining) == 1:
            break
        losses = {c: judge(c, max(1, examples // 4**rounds_left)) for c in remaining}
        ranks = {c: (loss if math.isfinite(loss) else math.inf, c) for c, loss in losses.items()}
        remaining.sort(key=ranks.__getitem__)
        remaining = remaining[: max(1, len(remaining) // 4)]
    return remaining[0]


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

        The statistics of its batch norms are estimated on these examples, and restored afterwards.

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
        with evaluating(network), _estimating_norms(network) as norms:
            if norms:
                answer(network, inputs)
            for norm in norms:
                norm.eval()
            return float(self.loss(answer(network, inputs), targets))


@contextmanager
def _estimating_norms(network: nn.Module) -> Iterator[list[_BatchNorm]]:
    """Let batch norms take the statistics of the next batch alone; restore them afterwards."""
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    before = [
        (norm.momentum, {name: value.clone() for name, value in norm.named_buffers(recurse=False)})
        for norm in norms
    ]
    try:
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        yield norms
    finally:
        for norm, (momentum, buffers) in zip(norms, before):
            norm.momentum = momentum
            for name, value in buffers.items():
                getattr(norm, name).copy_(value)
