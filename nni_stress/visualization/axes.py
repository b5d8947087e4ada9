"""Axes of the charts of all pages: efficiency across on a logarithmic scale, a value upwards."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from .markup import Element, tag

# Sizes in pixels.
_TOP = 14
_BOTTOM = 52
_TITLE = 14  # from the left edge to the middle of the vertical axis's title
_LETTER = 7.6  # width of a letter of a tick, at most
_LEAST_SPREAD = 0.02  # of a linear axis, as a share of its values
_LEAST_FACTOR = 2.0  # from the left end of a logarithmic axis to its right end
_FEW = 3  # ticks; a logarithmic axis with fewer round ones has the ticks of a linear one


def limits(values: Iterable[float]) -> tuple[float, float]:
    """Ends of a linear axis: some room around the values, which may all be equal.

    Examples
    --------
    >>> [f"{end:.3f}" for end in limits([0.5, 0.9])]
    ['0.476', '0.924']
    >>> [f"{end:.3f}" for end in limits([0.9, 0.9])]
    ['0.890', '0.910']
    """
    known = list(values)
    low, high = min(known), max(known)
    lacking = (_LEAST_SPREAD * max(abs(low), abs(high)) or 1.0) - (high - low)
    if lacking > 0:
        low, high = low - lacking / 2, high + lacking / 2
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Ends of a logarithmic axis: some room around the values, which may all be equal.

    Examples
    --------
    >>> [f"{end:.1f}" for end in log_limits([1, 50])]
    ['0.9', '56.0']
    >>> [f"{end:.1f}" for end in log_limits([44])]
    ['27.8', '69.7']
    """
    known = list(values)
    low, high = min(known), max(known)
    if high / low < _LEAST_FACTOR:
        low, high = (math.sqrt(low * high / _LEAST_FACTOR), math.sqrt(low * high * _LEAST_FACTOR))
    return low / 1.12, high * 1.12


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5, 10, ..., or powers of ten if the range is wide.

    A range that holds fewer than three of them has the ticks of a linear axis.

    Examples
    --------
    >>> log_ticks(0.9, 45)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    >>> log_ticks(1, 10_000)
    [1.0, 10.0, 100.0, 1000.0, 10000.0]
    >>> log_ticks(30, 65)
    [30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high / low < 1000 else (1,)
    found = [
        digit * 10.0**power
        for power in powers
        for digit in digits
        if low <= digit * 10.0**power <= high
    ]
    return found if len(found) >= _FEW else list(ticks(low, high))


def ticks(low: float, high: float) -> dict[float, str]:
    """Ticks of a linear axis: a few round numbers within the range, each with its text.

    Examples
    --------
    >>> list(ticks(0.971, 0.997).values())
    ['0.975', '0.980', '0.985', '0.990', '0.995']
    """
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return {
        number * step: f"{number * step:.{digits}f}"
        for number in range(math.ceil(low / step), math.floor(high / step) + 1)
    }


class Axes(NamedTuple):
    """Where in a chart a pair of values is.

    Parameters
    ----------
    across, upwards
        Values at the ends of the axes; all of `across` are positive.
    left, right, top, bottom
        Edges of the field between the axes, in pixels.

    Examples
    --------
    >>> axes = Axes.of(800, 400, room=100, across=(1, 100), upwards=(0.5, 1.0))
    >>> abs(axes.x(10) - (axes.left + axes.right) / 2) < 1e-9
    True
    >>> axes.y(0.5) == axes.y(0.1) == axes.bottom
    True
    """

    across: tuple[float, float]
    upwards: tuple[float, float]
    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def of(
        cls,
        width: float,
        height: float,
        room: float,
        across: tuple[float, float],
        upwards: tuple[float, float],
    ) -> Axes:
        """Make the axes of a chart of a width and height, with room to the right, in pixels."""
        longest = max(map(len, ticks(*upwards).values()), default=0)
        left = _TITLE + 18 + _LETTER * longest
        return cls(across, upwards, left, width - room, _TOP, height - _BOTTOM)

    def x(self, value: float) -> float:
        """Horizontal place of a value, in pixels."""
        low, high = self.across
        share = math.log(value / low) / math.log(high / low)
        return self.left + (self.right - self.left) * share

    def y(self, value: float) -> float:
        """Vertical place of a value, in pixels; one below the axis is at its lower end."""
        low, high = self.upwards
        return self.bottom - (self.bottom - self.top) * (max(value, low) - low) / (high - low)

    def draw(self, across: str, upwards: str) -> list[Element]:
        """Grid, ticks and the titles of both axes, as parts of an SVG."""
        left, right, top, bottom = self.left, self.right, self.top, self.bottom
        columns = [(self.x(tick), f"{tick:,g}x") for tick in log_ticks(*self.across)]
        rows = [(self.y(tick), text) for tick, text in ticks(*self.upwards).items()]
        middle = f"translate({_TITLE} {(top + bottom) / 2:.0f}) rotate(-90)"
        return [
            *(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid") for x, _ in columns),
            *(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid") for y, _ in rows),
            *(tag("text", text, x=x, y=bottom + 18, text_anchor="middle") for x, text in columns),
            *(tag("text", text, x=left - 8, y=y + 4, text_anchor="end") for y, text in rows),
            tag("text", across, x=(left + right) / 2, y=bottom + 42, text_anchor="middle"),
            tag("text", upwards, text_anchor="middle", transform=middle),
        ]
