"""Statistics of a comparison over seeds. Pure functions over numbers."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from nni_stress.evolution.selection import unbeaten

LEVEL = 0.02  # a difference is claimed where its corrected p is below this
_RESAMPLES = 9999


class Interval(NamedTuple):
    """A median and its 95 % interval; without the interval where there are too few values, or all are equal."""

    median: float
    low: float | None
    high: float | None


class Difference(NamedTuple):
    """A paired difference over the seeds that both have: its mean, effect size (mean / standard deviation), and p.

    `p` is that of the paired t-test, None where there are fewer than two pairs.
    """

    pairs: int
    mean: float
    effect: float | None
    p: float | None


def interval(values: Sequence[float]) -> Interval:
    """Median, and bias-corrected and accelerated bootstrap interval (Efron 1987), the same at every call."""
    found = np.asarray(values, float)
    median = float(np.median(found))
    if len(found) < 3 or np.ptp(found) == 0:
        return Interval(median, None, None)
    for method in (
        "BCa",
        "percentile",
    ):  # BCa is not defined where leaving out any one value changes nothing
        with np.errstate(all="ignore"):
            bounds = _bootstrap(found, method)
        if all(map(math.isfinite, bounds)):
            return Interval(median, *bounds)
    return Interval(median, None, None)


def _bootstrap(values: np.ndarray, method: str) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (values,),
            np.median,
            n_resamples=_RESAMPLES,
            method=method,
            rng=np.random.default_rng(0),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def difference(ones: dict[int, float], others: dict[int, float]) -> Difference | None:
    """How much larger `ones` are than `others`, {seed: value} both, over the seeds that both have; None where none is."""
    seeds = sorted(set(ones) & set(others))
    if not seeds:
        return None
    gains = np.array([ones[seed] - others[seed] for seed in seeds])
    mean, spread = float(gains.mean()), float(gains.std(ddof=1)) if len(gains) > 1 else 0.0
    if len(gains) < 2:
        return Difference(len(gains), mean, None, None)
    if spread < 1e-12 * max(
        1.0, abs(mean)
    ):  # no seed differs from another: certain, or nothing at all
        return Difference(len(gains), mean, None, 1.0 if mean == 0 else 0.0)
    return Difference(len(gains), mean, mean / spread, float(stats.ttest_1samp(gains, 0).pvalue))


def corrected(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's correction (1979) for as many tests as there are p values; None stays None."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        found[index] = largest
    return found


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of points (efficiency, fidelity) those that no other beats in both, by rising efficiency."""
    return unbeaten(points, tuple)[::-1]


def fidelity_at(points: Sequence[tuple[float, float]], efficiency: float) -> float | None:
    """Fidelity of a frontier at an efficiency, linear in its logarithm between two points; None beyond its last."""
    line = frontier(points)
    if not line or efficiency > line[-1][0] * (1 + 1e-9):
        return None
    return float(
        np.interp(math.log(efficiency), [math.log(e) for e, _ in line], [f for _, f in line])
    )


def efficiency_at(
    points: Sequence[tuple[float, float]], fidelity: float
) -> tuple[float, bool] | None:
    """The highest efficiency at which a frontier keeps a fidelity, and whether it may be higher still.

    Interpolated in the logarithm of efficiency; None where no point keeps it.
    """
    line = frontier(points)
    if not line or line[0][1] < fidelity:
        return None
    if line[-1][1] >= fidelity:
        return line[-1][0], True
    (e0, f0), (e1, f1) = next(
        (a, b) for a, b in itertools.pairwise(line) if a[1] >= fidelity > b[1]
    )
    share = (f0 - fidelity) / (f0 - f1)
    return math.exp(math.log(e0) + share * math.log(e1 / e0)), False


def hypervolume(
    points: Sequence[tuple[float, float]], fidelity: float, floor: float, efficiency: float
) -> float:
    """Share of the area between 1x and an efficiency (logarithmic), and a floor and the founder's fidelity, that lies under a
    frontier as stairs: 1 where the founder's fidelity is kept up to that efficiency. Fidelity beyond the founder's does
    not count.
    """
    area, left = 0.0, 0.0
    for e, f in frontier(points):
        right = min(math.log(max(e, 1.0)), math.log(efficiency))
        area += max(0.0, right - left) * (min(max(f, floor), fidelity) - floor)
        left = max(left, right)
    return area / (math.log(efficiency) * (fidelity - floor))
