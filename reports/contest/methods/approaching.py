"""The search for a size that uses nearly all of a budget, where each try is expensive."""

from __future__ import annotations

from collections.abc import Callable

# Share of the budget that is aimed at, and at which the search for the ratio ends.
_AIM = 0.99
ENOUGH = 0.98
_TRIES = 10  # of ratios, each with a network that is really made small


Point = tuple[float, float]  # a size, and the use at this size


def approach(
    use_at: Callable[[float], float], fitting: Point, exceeding: Point, least: float = 0.0
) -> float:
    """Look for the size at which nearly all of a budget is used; few sizes are tried.

    Parameters
    ----------
    use_at
        Share of the budget that is used at a size: nearly a linear function.
    fitting, exceeding
        A size that is within the budget, and one that is above it.
    least
        The search ends when the two are as near as this.

    Returns
    -------
    float
        The use at the last size that was tried.

    Examples
    --------
    >>> ENOUGH <= approach(lambda size: size**2, (0.0, 0.0), (4.0, 16.0)) <= 1
    True
    """
    use = exceeding[1]
    for number in range(1, _TRIES + 1):
        gap = exceeding[0] - fitting[0]
        if gap <= least:
            break
        place = (_AIM - fitting[1]) / (exceeding[1] - fitting[1])
        if number % 3 == 0:  # use has a jump
            place = 0.5
        size = fitting[0] + gap * min(max(place, 0.02, least / gap), 0.95, 1 - least / gap)
        use = use_at(size)
        if ENOUGH <= use <= 1:
            break
        if use > 1:
            exceeding = size, use
        else:
            fitting = size, use
    return use
