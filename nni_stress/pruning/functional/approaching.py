"""The search for a size that uses nearly all of a budget, where each try is expensive. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

ENOUGH = 0.98  # share of a budget that is used at least, if the network allows it
_TRIES = 10  # each with a network that is really made small


Found = TypeVar("Found")


class Best(Generic[Found]):
    """Of all that was tried, what uses most of a budget and does not exceed it.

    Attributes
    ----------
    found, use
        It, and the share of the budget that it uses; None and 0 as long as all exceed the budget.

    Examples
    --------
    >>> best = Best()
    >>> [best.note(*tried) for tried in (("a", 0.7), ("b", 1.2), ("c", 0.6))]
    [0.7, 1.2, 0.6]
    >>> best.found, best.use
    ('a', 0.7)
    """

    def __init__(self) -> None:
        self.found: Found | None = None
        self.use = 0.0

    def note(self, found: Found, use: float) -> float:
        """Note what was tried, and return its use."""
        if self.use < use <= 1:
            self.found = found
            self.use = use
        return use


Point = tuple[float, float]  # a size, and the use at this size


def approach(
    use_at: Callable[[float], float],
    fitting: Point,
    exceeding: Point,
    enough: float = ENOUGH,
    nearest: float = 0.0,
) -> float:
    """Look for the size at which nearly all of a budget is used; few sizes are tried.

    Parameters
    ----------
    use_at
        Share of the budget that is used at a size: nearly a linear function.
    fitting, exceeding
        A size that is within the budget, and one that is above it.
    enough
        Share of the budget at which the search ends.
    nearest
        It also ends when the two are as near as this.

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
        if gap <= nearest:
            break
        # Between what is enough and all of it.
        place = ((1 + enough) / 2 - fitting[1]) / (exceeding[1] - fitting[1])
        if number % 3 == 0:  # use has a jump
            place = 0.5
        size = fitting[0] + gap * min(max(place, 0.02, nearest / gap), 0.95, 1 - nearest / gap)
        use = use_at(size)
        if enough <= use <= 1:
            break
        if use > 1:
            exceeding = size, use
        else:
            fitting = size, use
    return use
