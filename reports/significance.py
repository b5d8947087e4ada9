"""Statistics of a comparison over seeds, as pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from nni_stress.evolution.selection import unbeaten

LEVEL = 0.02  # a difference is claimed where its corrected p is below this


class Difference(NamedTuple):
    """A paired difference over the seeds that both methods have.

    Attributes
    ----------
    pairs
        Number of seeds.
    mean
        Mean difference.
    effect
        Mean / standard deviation; None where it is not defined.
    p
        p value of the paired t-test; None where there are fewer than two pairs.
    """

    pairs: int
    mean: float
    effect: float | None
    p: float | None


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Difference | None:
    """Return how much larger the first values are than the second, over common seeds.

    Parameters
    ----------
    first, second
        {seed: value}.

    Returns
    -------
    Difference or None
        None where there is no common seed.

    Examples
    --------
    >>> difference({1: 0.75, 2: 0.5, 3: 0.9}, {1: 0.5, 2: 0.5}).mean
    0.125
    """
    seeds = sorted(set(first) & set(second))
    if not seeds:
        return None
    gains = np.array([first[seed] - second[seed] for seed in seeds])
    mean = float(gains.mean())
    if len(gains) < 2:
        return Difference(len(gains), mean, None, None)
    spread = float(gains.std(ddof=1))
    if spread < 1e-12 * max(1.0, abs(mean)):  # all seeds agree: certain, or no difference at all
        return Difference(len(gains), mean, None, 1.0 if mean == 0 else 0.0)
    return Difference(len(gains), mean, mean / spread, float(stats.ttest_1samp(gains, 0).pvalue))


def corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values for their number (Holm 1979); None stays None and does not count.

    Examples
    --------
    >>> corrected([0.25, None, 0.125])
    [0.25, None, 0.25]
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        found[index] = largest
    return found


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (efficiency, fidelity) that no other beats in both, by efficiency.

    Examples
    --------
    >>> frontier([(1.0, 0.92), (20.0, 0.85), (40.0, 0.9)])
    [(1.0, 0.92), (40.0, 0.9)]
    """
    return unbeaten(points, tuple)[::-1]


def hypervolume(
    points: Sequence[tuple[float, float]], fidelity: float, floor: float, efficiency: float
) -> float:
    """Return the share of an area that lies under a frontier drawn as stairs.

    The area lies between 1x and an efficiency (logarithmic), and between a floor and the founder's
    fidelity. The share is 1 where the founder's fidelity is kept up to that efficiency; fidelity
    above the founder's does not count.

    Parameters
    ----------
    points
        (efficiency, fidelity) of each network.
    fidelity
        The founder's.
    floor
        Fidelity below which nothing counts.
    efficiency
        Where the area ends.

    Examples
    --------
    >>> round(hypervolume([(10.0, 0.9)], 0.9, 0.8, 100.0), 6)
    0.5
    """
    area = left = 0.0
    for position, height in frontier(points):
        right = min(math.log(max(position, 1.0)), math.log(efficiency))
        area += max(0.0, right - left) * (min(max(height, floor), fidelity) - floor)
        left = max(left, right)
    return area / (math.log(efficiency) * (fidelity - floor))
