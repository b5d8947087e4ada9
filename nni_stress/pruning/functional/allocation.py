"""Allocation: how a budget for the whole network is divided among its clusters. Pure functions.

A cluster is an output channel or neuron; clusters that can only be removed together form a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# A budget counts as met where at least 1 - TOLERANCE of it is used.
TOLERANCE = 0.03

Cost = Callable[[list[int]], float]


class Share(NamedTuple):
    """A division of a budget.

    Parameters
    ----------
    keep
        How many clusters each group keeps.
    cost
        Cost of the network with these numbers of clusters.
    obstacle
        Why the budget is exceeded or not fully used; None if it is met.

    Examples
    --------
    >>> Share(keep=[4, 2], cost=6.0, obstacle=None).keep
    [4, 2]
    """

    keep: list[int]
    cost: float
    obstacle: str | None


@dataclass(frozen=True)
class _Problem:
    """One budget to divide. A unit is one cluster of every block of a group, removed together."""

    units: list[list[float]]  # importance of the units of each group, in order of removal
    sizes: list[int]
    blocks: list[int]
    floors: list[int]
    cost: Cost
    budget: float
    power: float


def share(
    importance: Sequence[Tensor],
    cost: Cost,
    budget: float,
    *,
    blocks: Sequence[int] | None = None,
    frozen: Sequence[bool] | None = None,
    floor: int = 1,
    multiple: int = 1,
    power: float = 0.7,
    redundancy: float = 1.0,
) -> Share:
    """Divide one budget among groups of clusters by importance per unit of cost.

    The cluster with the least importance / marginal cost ** power is removed first, in whichever
    group it is, until the budget is met. Removing clusters makes the remaining ones of neighbouring
    layers cheaper, so marginal costs are recomputed whenever the cost has fallen by 2 %. Importance
    grows as a group empties: it was measured with the whole group present, and where n clusters
    share one task evenly, each matters n / k times as much once k are left.

    Removing the least important clusters one by one, with regard to their cost, follows Molchanov
    et al. (arXiv 1611.06440); the power and the redundancy are this project's own.

    Parameters
    ----------
    importance
        For each group, the importance of its clusters: one-dimensional, not negative.
    cost
        Cost of a network whose group i keeps the i-th number of clusters.
    budget
        Highest cost, in the unit of `cost`.
    blocks
        For each group, the number of equal blocks that must lose the same number of clusters
        (grouped convolutions); 1 by default.
    frozen
        For each group, whether it must keep all its clusters; False by default.
    floor
        Least number of clusters of a group; at least one cluster of each block is kept in any case.
    multiple
        Kept numbers are multiples of this (8 suits most hardware) where the group is large enough
        and the budget can still be used.
    power
        0 ranks by importance alone, 1 by importance per unit of cost.
    redundancy
        Importance is multiplied by (n / k) ** redundancy when k of a group's n clusters are left. 0
        leaves it unchanged; large values make every group keep the same share.

    Returns
    -------
    Share
        The numbers of clusters kept, at a cost of at most `budget` and at least 97 % of it;
        otherwise its obstacle says why not.

    Raises
    ------
    ValueError
        If an argument is out of its bounds, or the arguments differ in their number of groups.

    Examples
    --------
    Two groups whose clusters cost 1 each; the least important ones are removed:

    >>> importance = [torch.tensor([5.0, 4.0, 0.1]), torch.tensor([3.0, 0.2, 0.1])]
    >>> share(importance, cost=sum, budget=3)
    Share(keep=[2, 1], cost=3, obstacle=None)
    """
    if not all(isinstance(scores, Tensor) for scores in importance):
        kinds = [type(scores).__name__ for scores in importance]
        raise ValueError(f"importance must be tensors, but got {kinds}")
    sizes = [scores.numel() for scores in importance]
    blocks = list(blocks or [1] * len(sizes))
    frozen = list(frozen or [False] * len(sizes))
    _check_groups(importance, blocks, frozen)
    _check_numbers(budget, floor, multiple, power, redundancy)
    floors = [
        size if fixed else min(size, math.ceil(max(floor, block) / block) * block)
        for size, block, fixed in zip(sizes, blocks, frozen)
    ]
    units = [
        _units(scores.detach().double().cpu(), block, redundancy)
        for scores, block in zip(importance, blocks)
    ]
    cost = _cached(cost, sizes)
    problem = _Problem(units, sizes, blocks, floors, cost, budget, power)
    steps = [
        math.lcm(block, multiple) if size >= math.lcm(block, multiple) else block
        for block, size in zip(blocks, sizes)
    ]
    keep = [
        size if fixed else max(least, count // step * step)
        for count, least, step, size, fixed in zip(_remove(problem), floors, steps, sizes, frozen)
    ]
    keep = _restore(problem, keep, steps)
    if cost(keep) < (1 - TOLERANCE) * budget:  # using the budget goes before multiples
        keep = _restore(problem, keep, blocks)
    return Share(keep, cost(keep), _obstacle(problem, keep))


def _units(importance: Tensor, block: int, redundancy: float) -> list[float]:
    worth = importance.reshape(block, -1).sort(1).values.sum(0)
    left = torch.arange(len(worth), 0, -1, dtype=worth.dtype)
    units: list[float] = (worth * (len(worth) / left) ** redundancy).tolist()
    return units


def _check_groups(importance: Sequence[Tensor], blocks: list[int], frozen: list[bool]) -> None:
    if not importance or not len(importance) == len(blocks) == len(frozen):
        raise ValueError(
            f"importance, blocks and frozen must describe the same groups, but got "
            f"{len(importance)}, {len(blocks)} and {len(frozen)}"
        )
    for index, (scores, block) in enumerate(zip(importance, blocks)):
        if scores.dim() != 1 or not torch.isfinite(scores).all() or (scores < 0).any():
            raise ValueError(
                f"importance of group {index} must be finite, not negative and one-dimensional"
            )
        if not len(scores) or isinstance(block, bool) or not isinstance(block, int) or block < 1:
            raise ValueError(
                f"group {index} must have clusters and blocks, but got {len(scores)} and {block!r}"
            )
        if len(scores) % block:
            raise ValueError(
                f"group {index} of {len(scores)} clusters cannot have {block} equal blocks"
            )


def _check_numbers(
    budget: float, floor: int, multiple: int, power: float, redundancy: float
) -> None:
    if not (isinstance(budget, (int, float)) and math.isfinite(budget) and budget > 0):
        raise ValueError(f"budget must be a number above 0, but got {budget!r}")
    for name, value in (("floor", floor), ("multiple", multiple)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
    if not 0 <= power <= 1:
        raise ValueError(f"power must lie in [0, 1], but got {power!r}")
    if not (isinstance(redundancy, (int, float)) and math.isfinite(redundancy) and redundancy >= 0):
        raise ValueError(f"redundancy must be a number of at least 0, but got {redundancy!r}")


def _cached(cost: Cost, sizes: list[int]) -> Cost:
    """Compute each cost once: measuring a latency takes time and varies between calls."""
    known: dict[tuple[int, ...], float] = {}

    def cached(keep: list[int]) -> float:
        key = tuple(keep)
        if key not in known:
            known[key] = cost(list(keep))
        return known[key]

    whole = cached(sizes)
    if not (math.isfinite(whole) and whole > 0):
        raise ValueError(f"cost of the whole network must be a number above 0, but got {whole!r}")
    return cached


def _marginal(problem: _Problem, keep: list[int], index: int, now: float) -> float:
    """Cost saved by removing one unit, averaged over the next step where a cost falls in steps."""
    block = problem.blocks[index]
    step = block
    while True:
        saved = now - problem.cost([*keep[:index], keep[index] - step, *keep[index + 1 :]])
        if saved > 0 or keep[index] - 2 * step < problem.floors[index]:
            return max(saved * block / step, 1e-12)
        step *= 2


def _removable(problem: _Problem, keep: list[int], index: int) -> bool:
    """Whether the group can lose another unit."""
    return keep[index] - problem.blocks[index] >= problem.floors[index]


def _remove(problem: _Problem) -> list[int]:
    """Remove the least worthy units until the budget is met or all groups are at their floors."""
    keep = list(problem.sizes)
    removed = [0] * len(keep)
    now = problem.cost(keep)
    while now > problem.budget:
        groups = [i for i in range(len(keep)) if _removable(problem, keep, i)]
        if not groups:
            break
        saving = {i: _marginal(problem, keep, i, now) for i in groups}
        price = {i: saving[i] ** problem.power for i in groups}
        to_save = min(0.02 * now, now - problem.budget)
        while to_save > 0 and groups:
            index = min(groups, key=lambda i: problem.units[i][removed[i]] / price[i])
            keep[index] -= problem.blocks[index]
            removed[index] += 1
            to_save -= saving[index]
            groups = [i for i in groups if _removable(problem, keep, i)]
        now = problem.cost(keep)
    return keep


def _restore(problem: _Problem, keep: list[int], steps: list[int]) -> list[int]:
    """Put clusters back, the most worthy first, for as long as they fit into the budget."""
    growing = set(range(len(keep)))
    while growing:
        now = problem.cost(keep)
        gains: dict[int, tuple[float, list[int]]] = {}
        for i in sorted(growing):
            size = problem.sizes[i]
            block = problem.blocks[i]
            step = min((keep[i] // steps[i] + 1) * steps[i], size) - keep[i]
            after = [*keep[:i], keep[i] + step, *keep[i + 1 :]]
            price = problem.cost(after)
            if not step or price > problem.budget:
                growing.discard(i)
                continue
            first = (size - keep[i] - step) // block
            gained = sum(problem.units[i][first : first + step // block])
            gains[i] = gained / max(price - now, 1e-12) ** problem.power, after
        if gains:
            best = max(gains, key=lambda i: (gains[i][0], -i))
            keep = gains[best][1]
    return keep


def _obstacle(problem: _Problem, keep: list[int]) -> str | None:
    reached = problem.cost(keep)
    budget = problem.budget
    if reached > budget:
        return (
            f"the least the layers can keep costs {reached:g}, more than the budget of {budget:g}"
        )
    if reached < (1 - TOLERANCE) * budget and keep != problem.sizes:
        return f"no further cluster fits: {reached:g} of the budget of {budget:g} are used"
    return None
