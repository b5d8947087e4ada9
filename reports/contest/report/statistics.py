"""Statistics of a contest, as pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from ...significance import LEVEL

_SURE = 0.95  # of all intervals
_NO_SPREAD = 1e-12  # standard deviations below this share of the values are rounding


class Mean(NamedTuple):
    """A mean over seeds and its 95 % interval.

    `low` and `high` are None where there are fewer than three values, or all are equal.
    """

    mean: float
    low: float | None
    high: float | None


class Effect(NamedTuple):
    """How much larger the mean of some values is than that of others, by Welch's t-test.

    Attributes
    ----------
    mean
        Difference of the means.
    low, high
        Its 95 % interval.
    p
        p value of both sides. It is None, as is the interval, where a side has one value only.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None


def mean_of(values: Sequence[float]) -> Mean:
    """Mean, and its interval by Student's t distribution.

    Examples
    --------
    >>> found = mean_of([1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 2), round(found.high, 2)
    (2.0, -0.48, 4.48)
    """
    array = np.asarray(values, float)
    mean, error = float(array.mean()), _error(array)
    if len(array) < 3 or error == 0:
        return Mean(mean, None, None)
    reach = error * _reach(len(array) - 1)
    return Mean(mean, mean - reach, mean + reach)


def welch(first: Sequence[float], second: Sequence[float]) -> Effect | None:
    """Compare two means whose spreads may differ (Welch 1947).

    Methods share their founders, whose differences are part of the spread of both: so the test
    errs on the side of claiming nothing.

    Returns
    -------
    Effect or None
        None where a side has no value.

    Examples
    --------
    >>> found = welch([0.90, 0.91, 0.92], [0.80, 0.81, 0.82])
    >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), found.p < 0.001
    (0.1, 0.077, 0.123, True)
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    if not len(one) or not len(other):
        return None
    mean = float(one.mean() - other.mean())
    if min(len(one), len(other)) < 2:
        return Effect(mean, None, None, None)
    errors = [_error(one), _error(other)]
    error = math.hypot(*errors)
    if error == 0:  # all seeds agree: certain, or no difference at all
        is_none = abs(mean) <= _NO_SPREAD * abs(one.mean())
        return Effect(mean, mean, mean, 1.0 if is_none else 0.0)
    shares = [(part / error) ** 4 for part in errors]
    freedom = 1 / (shares[0] / (len(one) - 1) + shares[1] / (len(other) - 1))
    reach = error * _reach(freedom)
    p = 2 * float(special.stdtr(freedom, -abs(mean) / error))
    return Effect(mean, mean - reach, mean + reach, p)


def _reach(freedom: float) -> float:
    """Half of an interval, in standard errors."""
    return float(special.stdtrit(freedom, (1 + _SURE) / 2))


def _error(values: np.ndarray) -> float:
    """Standard error of the mean; 0 where the values differ by rounding only."""
    if len(values) < 2:
        return 0.0
    spread = float(values.std(ddof=1))
    if spread <= _NO_SPREAD * float(np.abs(values).max()):
        return 0.0
    return spread / math.sqrt(len(values))


def power(sd: float, seeds: int, points: float, budgets: int = 1, rivals: int = 1) -> float:
    """Probability with which a difference at one budget is claimed, none being at the others.

    Parameters
    ----------
    sd
        Standard deviation over seeds, of both methods.
    seeds
        Of each method.
    points
        The difference, in the units of `sd`.
    budgets
        Of the axis, for whose number p is corrected.
    rivals
        Their number for a rival's lead, as the rival is picked among them; 1 for the evolution's.

    Examples
    --------
    >>> round(power(0.35, 10, 0.6, budgets=2), 2)
    0.82
    """
    freedom = 2 * seeds - 2
    needed = stats.t.isf(LEVEL / max(budgets, rivals) / 2, freedom)
    return float(stats.nct.sf(needed, freedom, points / (sd * math.sqrt(2 / seeds))))
