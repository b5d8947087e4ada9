"""The environment: how the resources an offspring may use are shared out over its clusters. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """How many clusters each group keeps, what that costs, and what kept it from the budget (None: nothing)."""

    keep: list[int]
    cost: float
    obstacle: str | None


def share(
    importance: Sequence[Tensor],
    cost: Callable[[list[int]], float],
    budget: float,
    *,
    blocks: Sequence[int] | None = None,
    frozen: Sequence[bool] | None = None,
    floor: int = 1,
    multiple: int = 1,
    power: float = 0.7,
    redundancy: float = 1.0,
) -> Share:
    """Share one budget over groups of clusters by importance per unit of cost.

    The cluster of least importance / marginal cost ** power goes first, wherever it is, until the budget is met. What
    a cluster costs shrinks with its neighbours, so the marginal costs are taken anew whenever 2 % of the cost are gone.
    What it is worth grows as its own group empties: importance was taken while the whole group was there to make up for
    the loss of one. Where n clusters share one task evenly, each matters n / k times as much once k are left.

    Parameters
    ----------
    importance
        For each group, the importance of its clusters, one-dimensional, not negative.
    cost
        Cost of a network whose group i keeps the i-th number of clusters.
    budget
        Highest cost, in the unit of `cost`.
    blocks
        For each group, how many equal parts of it must lose the same number of clusters (grouped convolutions).
    frozen
        For each group, whether it must keep all.
    floor
        Least number of clusters a group keeps; at least one of each block survives in any case.
    multiple
        Kept numbers are multiples of this where the group has as many (8 suits most hardware) and the budget is used
        all the same.
    power
        0: by importance alone; 1: by importance per unit of cost.
    redundancy
        Importance is taken times (n / k) ** redundancy, with k of a group's n clusters left. 0: as it was in the whole
        network; large: every group keeps the same share.

    Returns
    -------
    Share
        At most `budget`, and within 3 % of it, or the reason why not.

    Raises
    ------
    ValueError
        If the arguments do not fit together.
    """
    if not all(isinstance(scores, Tensor) for scores in importance):
        raise ValueError(
            f"importance must be tensors, but got {[type(scores).__name__ for scores in importance]}"
        )
    sizes = [scores.numel() for scores in importance]
    blocks, frozen = list(blocks or [1] * len(sizes)), list(frozen or [False] * len(sizes))
    _check(importance, sizes, blocks, frozen, budget, floor, multiple, power, redundancy)
    cost = _remembered(cost, sizes)
    floors = [
        size if stays else min(size, math.ceil(max(floor, block) / block) * block)
        for size, block, stays in zip(sizes, blocks, frozen)
    ]
    # a unit is what goes at once: one cluster of each block; units[i][k] is the importance of the k-th to go
    units = [
        _units(scores.detach().double().cpu(), block, redundancy)
        for scores, block in zip(importance, blocks)
    ]
    keep = _remove(units, list(sizes), floors, blocks, cost, budget, power)
    steps = [
        math.lcm(block, multiple) if size >= math.lcm(block, multiple) else block
        for block, size in zip(blocks, sizes)
    ]
    keep = [
        size if stays else max(least, count // step * step)
        for count, least, step, size, stays in zip(keep, floors, steps, sizes, frozen)
    ]
    keep = _give_back(units, keep, sizes, blocks, steps, cost, budget, power)
    if cost(keep) < 0.97 * budget:  # multiples yield to the budget
        keep = _give_back(units, keep, sizes, blocks, blocks, cost, budget, power)
    return Share(keep, cost(keep), _obstacle(keep, sizes, cost, budget))


def _units(importance, block, redundancy):
    worth = importance.reshape(block, -1).sort(1).values.sum(0)
    left = torch.arange(len(worth), 0, -1, dtype=worth.dtype)
    return (worth * (len(worth) / left) ** redundancy).tolist()


def _check(importance, sizes, blocks, frozen, budget, floor, multiple, power, redundancy):
    if not sizes or not len(sizes) == len(blocks) == len(frozen):
        raise ValueError(
            f"importance, blocks and frozen must speak of the same groups, but got {len(sizes)}, "
            f"{len(blocks)} and {len(frozen)}"
        )
    for index, scores in enumerate(importance):
        if scores.dim() != 1 or not torch.isfinite(scores).all() or (scores < 0).any():
            raise ValueError(
                f"importance of group {index} must be finite, not negative and one-dimensional"
            )
        if (
            not len(scores)
            or isinstance(blocks[index], bool)
            or not isinstance(blocks[index], int)
            or blocks[index] < 1
        ):
            raise ValueError(
                f"group {index} must have clusters and blocks, but got {len(scores)} and {blocks[index]!r}"
            )
        if len(scores) % blocks[index]:
            raise ValueError(
                f"group {index} of {len(scores)} clusters cannot have {blocks[index]} equal blocks"
            )
    if not (isinstance(budget, (int, float)) and math.isfinite(budget) and budget > 0):
        raise ValueError(f"budget must be a number above 0, but got {budget!r}")
    for name, value in (("floor", floor), ("multiple", multiple)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
    if not 0 <= power <= 1:
        raise ValueError(f"power must lie in [0, 1], but got {power!r}")
    if not (isinstance(redundancy, (int, float)) and math.isfinite(redundancy) and redundancy >= 0):
        raise ValueError(f"redundancy must be a number of at least 0, but got {redundancy!r}")


def _remembered(cost, sizes):
    """The cost, asked for once per network: a measured latency takes time, and differs from one time to the next."""
    known: dict[tuple, float] = {}

    def remembered(keep):
        key = tuple(keep)
        if key not in known:
            known[key] = cost(list(keep))
        return known[key]

    if not (math.isfinite(remembered(sizes)) and remembered(sizes) > 0):
        raise ValueError(
            f"cost of the whole network must be a number above 0, but got {remembered(sizes)!r}"
        )
    return remembered


def _marginal(keep, index, block, least, now, cost) -> float:
    """Cost saved by one more block's worth; where a cost falls in steps, the average over the next step."""
    step = block
    while True:
        saved = now - cost([*keep[:index], keep[index] - step, *keep[index + 1 :]])
        if saved > 0 or keep[index] - 2 * step < least:
            return max(saved * block / step, 1e-12)
        step *= 2


def _remove(units, keep, floors, blocks, cost, budget, power):
    gone, now = [0] * len(keep), cost(keep)
    while now > budget:
        able = [i for i in range(len(keep)) if keep[i] - blocks[i] >= floors[i]]
        if not able:
            break
        saving = {i: _marginal(keep, i, blocks[i], floors[i], now, cost) for i in able}
        worth = {i: saving[i] ** power for i in able}
        to_go = min(0.02 * now, now - budget)
        while to_go > 0 and able:
            index = min(able, key=lambda i: units[i][gone[i]] / worth[i])
            keep[index] -= blocks[index]
            gone[index] += 1
            to_go -= saving[index]
            able = [i for i in able if keep[i] - blocks[i] >= floors[i]]
        now = cost(keep)
    return keep


def _give_back(units, keep, sizes, blocks, steps, cost, budget, power):
    """Let clusters return, the worthiest first, as long as they fit into the budget."""
    able = set(range(len(keep)))
    while able:
        now, gains = cost(keep), {}
        for i in sorted(able):
            step = min((keep[i] // steps[i] + 1) * steps[i], sizes[i]) - keep[i]
            after = [*keep[:i], keep[i] + step, *keep[i + 1 :]]
            price = cost(after)
            if not step or price > budget:
                able.discard(i)
                continue
            first = (sizes[i] - keep[i] - step) // blocks[i]
            gained = sum(units[i][first : first + step // blocks[i]])
            gains[i] = gained / max(price - now, 1e-12) ** power, after
        if gains:
            keep = gains[max(gains, key=lambda i: (gains[i][0], -i))][1]
    return keep


def _obstacle(keep, sizes, cost, budget):
    reached = cost(keep)
    if reached > budget:
        return (
            f"the least the layers can keep costs {reached:g}, more than the budget of {budget:g}"
        )
    if reached < 0.97 * budget and list(keep) != list(sizes):
        return f"no further cluster fits: {reached:g} of the budget of {budget:g} are used"
    return None
