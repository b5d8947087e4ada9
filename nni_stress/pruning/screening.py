"""Screening: many candidate offspring are judged untrained, and the best is synthesized."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..utils.batches import answer, arguments_of, first
from ..utils.module_modes import evaluating

# The standard deviation of the logarithm of a group's size among candidates, and the least share of the budget they use.
SPREAD, LEAST_USE = 0.5, 0.97


def candidates(
    keep: Sequence[int],
    sizes: Sequence[int],
    floors: Sequence[int],
    multiples: Sequence[int],
    cost: Callable[[Sequence], Any],
    budget: float,
    number: int,
    generator: torch.Generator,
) -> list[list[int]]:
    """Draw architectures around one: how many clusters each group keeps, at nearly the same cost.

    Parameters
    ----------
    keep
        The architecture to draw around; always the first of the candidates.
    sizes, floors, multiples
        Of each group: how many clusters it has, how few it may keep (its size, where it is frozen), and of what its
        count must be a multiple.
    cost
        Costs of architectures, in the unit of `budget`: takes for each group an array of its counts, one each.
    budget
        What a candidate may cost; it costs at least 97 % of it.
    number
        How many candidates are wanted. Fewer come back where a hundred draws for each found no more.

    Returns
    -------
    list
        Different architectures.
    """
    found = {tuple(keep): None}
    keep, sizes, floors, multiples = map(np.asarray, (keep, sizes, floors, multiples))
    for _ in range(100):
        if len(found) >= number:
            break
        noise = (
            torch.randn(number, len(sizes), generator=generator, dtype=torch.float64)
            .mul_(SPREAD)
            .exp_()
            .numpy()
        )
        drawn = np.clip(np.rint(keep * noise / multiples).astype(int) * multiples, floors, sizes)
        costs = cost(list(drawn.T))
        fitting = drawn[(LEAST_USE * budget <= costs) & (costs <= budget)]
        found.update(dict.fromkeys(map(tuple, fitting.tolist())))
    return [list(architecture) for architecture in found][:number]


def fittest(count: int, judge: Callable[[int, int], float], examples: int, rounds: int = 3) -> int:
    """The candidate of least loss, found by successive halving (Jamieson and Talwalkar, arXiv 1502.07943).

    Each round judges the best quarter of the last on four times as many examples, so that every round costs about the
    same and poor candidates cost little.

    Parameters
    ----------
    count
        Number of candidates.
    judge
        Loss of (candidate, number of examples); not finite is worst.
    examples
        How many examples the last round may use.
    rounds
        Number of rounds.

    Returns
    -------
    int
        Index of the best; of equals the first.
    """
    living = list(range(count))
    for left in reversed(range(rounds)):
        if len(living) == 1:
            break
        losses = {c: judge(c, max(1, examples // 4**left)) for c in living}
        living.sort(key=lambda c: (losses[c] if math.isfinite(losses[c]) else math.inf, c))
        living = living[: max(1, len(living) // 4)]
    return living[0]


class Screen:
    """Judges a network, untrained, on held-out examples.

    Parameters
    ----------
    inputs, targets
        One batch of validation examples, in the order in which rounds take them.
    loss
        Loss of (outputs, targets), a scalar.
    """

    def __init__(self, inputs: Any, targets: Any, loss: Callable[[Any, Any], Tensor]):
        self.examples = len(arguments_of(inputs)[0])
        first(targets, self.examples, self.examples)  # complains where the numbers differ
        if not self.examples:
            raise ValueError("screening needs examples, but got 0 and 0")
        self.inputs, self.targets, self.loss = inputs, targets, loss

    @torch.no_grad()
    def __call__(self, network: nn.Module, examples: int) -> float:
        """Loss of the network on the first `examples`; batch norm statistics are re-estimated on them, and restored."""
        inputs = tuple(one[:examples] for one in arguments_of(self.inputs))
        targets = first(self.targets, examples, self.examples)
        norms = [
            m
            for m in network.modules()
            if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats
        ]
        before = [
            (norm.momentum, {k: v.clone() for k, v in norm.named_buffers(recurse=False)})
            for norm in norms
        ]
        try:
            with evaluating(network):
                for norm in norms:
                    norm.train()
                    norm.momentum = 1.0  # the statistics of these examples alone
                if norms:
                    answer(network, inputs)
                for norm in norms:
                    norm.eval()
                return float(self.loss(answer(network, inputs), targets))
        finally:
            for norm, (momentum, buffers) in zip(norms, before):
                norm.momentum = momentum
                for name, value in buffers.items():
                    getattr(norm, name).copy_(value)
