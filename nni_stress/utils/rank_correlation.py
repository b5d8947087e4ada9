"""Rank correlation of two series."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Sequence


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two series of the same length.

    Parameters
    ----------
    first, second
        The series. Equal values share the mean of their ranks.

    Returns
    -------
    float or None
        Between -1 (the orders are opposite) and 1 (they are the same); None if one of the series
        is constant or has fewer than two values.

    Examples
    --------
    >>> rank_correlation([1, 2, 30], [9, 5, 4])
    -1.0
    >>> rank_correlation([1, 2, 30], [9, 9, 9]) is None
    True
    """
    try:
        found = statistics.correlation(_ranks(first), _ranks(second))
    except statistics.StatisticsError:
        return None
    return min(1.0, max(-1.0, found))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [(bisect_left(ordered, value) + bisect_right(ordered, value)) / 2 for value in values]
