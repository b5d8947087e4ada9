"""Breeding: the search for an architecture within a budget by selection, crossover and mutation.

An architecture is the number of clusters (output channels or neurons) that each group keeps. Pure
functions; every random choice is made by the generator that is passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .allocation import TOLERANCE

Architecture = tuple[int, ...]

ROUNDS = 10
LEAST = 8  # architectures of a round
PARENTS = 8  # one of so many that were judged becomes a parent
SPREAD = 0.5  # standard deviation of the logarithm of a mutated number
MUTATED = 0.4  # share of the groups that mutate
DRAWS = 6  # how often a round draws for new architectures

_BISECTIONS = 28


@dataclass(frozen=True)
class Space:
    """The architectures that a budget and the rules of its division allow.

    Parameters
    ----------
    sizes
        For each group, how many clusters it has.
    floors
        For each group, how few it may keep; its size if it is frozen.
    steps
        For each group, what its number should be a multiple of, unless it is the floor or the size.
    blocks
        For each group, what its number must be a multiple of. Used in place of `steps` where less
        than 97 % of the budget can be used otherwise.
    cost
        Costs of architectures, which more clusters never lower: takes an array for each group, with
        one entry for each architecture.
    budget
        Highest cost.

    Examples
    --------
    >>> Space([8, 8], [1, 1], [1, 1], [1, 1], cost=sum, budget=6).fit([[8, 4]])
    array([[4, 2]])
    """

    sizes: Sequence[int]
    floors: Sequence[int]
    steps: Sequence[int]
    blocks: Sequence[int]
    cost: Callable[[Sequence[Any]], Any]
    budget: float

    def fit(self, wanted: Any) -> NDArray[np.int64]:
        """Scale architectures until they use the budget, and no cluster more fits.

        Parameters
        ----------
        wanted
            For each architecture and group, a number above 0. The proportions are kept as far as
            floors, sizes and whole clusters allow.

        Returns
        -------
        numpy.ndarray
            The architectures, in the shape of `wanted`. One that costs more than the budget has all
            its groups at their floors.
        """
        wanted = np.asarray(wanted, float)
        keep = np.broadcast_to(np.asarray(self.floors), wanted.shape)
        keep = self._grown(keep, wanted, np.asarray(self.steps))
        if list(self.steps) == list(self.blocks):
            return keep
        short = self._costs(keep) < (1 - TOLERANCE) * self.budget
        if short.any():
            keep[short] = self._grown(keep[short], wanted[short], np.asarray(self.blocks))
        return keep

    def _costs(self, keep: NDArray[np.int64]) -> NDArray[np.float64]:
        """Costs of architectures, whose groups are the last dimension."""
        return np.asarray(self.cost(list(np.moveaxis(keep, -1, 0))), float)

    def _grown(
        self, keep: NDArray[np.int64], wanted: NDArray[np.float64], steps: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Let groups grow in proportion to what is wanted, those that fit on their own, too."""
        sizes = np.asarray(self.sizes)
        keep = keep.copy()
        growing = keep < sizes
        while growing.any():
            keep = self._scaled(keep, wanted, steps, growing)
            larger = np.minimum((keep // steps + 1) * steps, sizes)
            options = np.repeat(keep[:, None], keep.shape[1], axis=1)
            diagonal = np.arange(keep.shape[1])
            options[:, diagonal, diagonal] = larger
            growing &= (keep < sizes) & (self._costs(options) <= self.budget)
            next_one = np.where(growing, larger / wanted, math.inf).argmin(1)
            rows = np.flatnonzero(growing.any(1))
            keep[rows, next_one[rows]] = larger[rows, next_one[rows]]
        return keep

    def _scaled(
        self,
        keep: NDArray[np.int64],
        wanted: NDArray[np.float64],
        steps: NDArray[np.int64],
        growing: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        """Scale what is wanted of the growing groups by the largest factor that fits."""
        sizes = np.asarray(self.sizes)

        def at(factor: NDArray[np.float64]) -> NDArray[np.int64]:
            scaled = wanted * np.exp(factor)[:, None]
            whole = np.floor(scaled / steps + 1e-9).astype(int) * steps
            whole = np.where(scaled >= sizes, sizes, np.minimum(whole, sizes))
            return np.where(growing, np.maximum(keep, whole), keep)

        ratios = np.log(wanted / sizes)
        low = -ratios.max(1) - math.log(2 * max(self.sizes))  # keeps what there is
        high = -ratios.min(1) + 1e-9  # keeps everything
        fits = self._costs(at(high)) <= self.budget
        low = np.where(fits, high, low)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            fits = self._costs(at(middle)) <= self.budget
            low = np.where(fits, middle, low)
            high = np.where(fits, high, middle)
        return at(low)


def steps_of(size: int, block: int, multiple: int) -> int:
    """What the number of a group's clusters should be a multiple of.

    Examples
    --------
    >>> steps_of(64, block=4, multiple=6), steps_of(4, block=1, multiple=8)
    (12, 1)
    """
    step = math.lcm(block, multiple)
    return step if size >= step else block


def breed(
    shares: Sequence[int],
    space: Space,
    judge: Callable[[Architecture], float],
    number: int,
    generator: torch.Generator,
    size: int | None = None,
) -> dict[Architecture, float]:
    """Breed architectures over several rounds.

    The first round has the given architecture, one with the same ratio in all groups, and random
    ones, in which the number of each group is log-uniform over its range. In each further round,
    parents are drawn among the best eighth of all that were judged. A child takes the number of
    each group from one of two parents, or their geometric mean; some numbers are multiplied by
    log-normal factors. Every architecture is fitted to the budget, and none is judged twice.

    Parameters
    ----------
    shares
        The architecture that importance per cost gives, judged first as it is.
    space
        The architectures that are allowed.
    judge
        Loss of an architecture. One that is not finite is the worst.
    number
        How many architectures are judged in all; fewer if no others are found.
    generator
        Generator of the draws, on the CPU.
    size
        How many architectures a round has; by default a tenth of `number`, but at least 8.

    Returns
    -------
    dict
        The loss of every architecture, in the order in which they were judged.

    Examples
    --------
    >>> space = Space([40, 40], [1, 1], [1, 1], [1, 1], cost=sum, budget=20)
    >>> generator = torch.Generator().manual_seed(0)
    >>> losses = breed([10, 10], space, lambda keep: abs(keep[0] - 3), 30, generator)
    >>> best_first(losses)[0], losses[10, 10]
    ((3, 17), 7)
    """
    size = size or max(LEAST, math.ceil(number / ROUNDS))
    losses: dict[Architecture, float] = {}

    def meet(keep: Architecture, most: int) -> None:
        if keep not in losses and len(losses) < most:
            losses[keep] = judge(keep)

    meet(tuple(map(int, shares)), number)
    for uniform in _fitted(space, np.asarray([space.sizes], float)):
        meet(uniform, number)
    for most in (*range(size, number, size), number):
        parents = best_first(losses)[: max(2, math.ceil(len(losses) / PARENTS))]
        for _ in range(DRAWS):
            missing = most - len(losses)
            if missing <= 0:
                break
            drawn = max(missing, LEAST)
            if most <= size:
                wanted = _random(space, drawn, generator)
            else:
                wanted = _children(parents, drawn, generator)
            for keep in _fitted(space, wanted):
                meet(keep, most)
    return losses


def best_first(losses: Mapping[Architecture, float]) -> list[Architecture]:
    """Order architectures by their loss; of equals, the one that was judged first leads.

    Examples
    --------
    >>> best_first({(1,): math.nan, (2,): 3.0, (3,): 2.0})
    [(3,), (2,), (1,)]
    """
    return sorted(
        losses, key=lambda keep: losses[keep] if math.isfinite(losses[keep]) else math.inf
    )


def _fitted(space: Space, wanted: NDArray[np.float64]) -> list[Architecture]:
    return [tuple(keep) for keep in space.fit(wanted).tolist()]


def _random(space: Space, count: int, generator: torch.Generator) -> NDArray[np.float64]:
    """Log-uniform numbers between floor and size."""
    drawn = _uniform(count, len(space.sizes), generator)
    floors = np.log(space.floors)
    found: NDArray[np.float64] = np.exp(floors + drawn * (np.log(space.sizes) - floors))
    return found


def _children(
    parents: Sequence[Architecture], count: int, generator: torch.Generator
) -> NDArray[np.float64]:
    """Numbers of one of two parents or their geometric mean, some of them mutated."""
    genes = np.log(parents)
    groups = genes.shape[1]
    pairs = torch.randint(len(parents), (2, count), generator=generator).numpy()
    mother, father = genes[pairs[0]], genes[pairs[1]]
    choice = torch.randint(3, (count, groups), generator=generator).numpy()
    child = np.choose(choice, [mother, father, (mother + father) / 2])
    mutates = _uniform(count, groups, generator) < max(MUTATED, 1 / groups)
    noise = torch.randn(count, groups, generator=generator, dtype=torch.float64).numpy()
    found: NDArray[np.float64] = np.exp(child + np.where(mutates, SPREAD * noise, 0.0))
    return found


def _uniform(rows: int, columns: int, generator: torch.Generator) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = torch.rand(
        rows, columns, generator=generator, dtype=torch.float64
    ).numpy()
    return drawn
