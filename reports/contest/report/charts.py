"""Charts of a report as SVG, for light and dark, any color vision, keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nni_stress.visualization.axes import Axes, limits, log_limits
from nni_stress.visualization.markup import Element, tag

_WIDTH, _HEIGHT = 480, 300
_MARGIN = 14  # on the right
_STEP = 5.0  # from the mark of a method to that of the next one at the same budget
_COLORS = 6  # in report.css, after the evolution's; further lines are dashed


class Mark(NamedTuple):
    """A point of a line.

    Attributes
    ----------
    x, y
        Its place.
    low, high
        Its interval in y; None: none.
    words
        Its tooltip.
    link
        The record that it links to; None: no link.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    words: str
    link: str | None


class Line(NamedTuple):
    """The line of one method.

    Attributes
    ----------
    name
        The method.
    number
        Its place among all methods, which determines color and shape; 0 is the evolution's.
    marks
        Its points, from left to right.
    """

    name: str
    number: int
    marks: list[Mark]


def style(number: int) -> str:
    """Return the CSS classes of a method's line and marks.

    Examples
    --------
    >>> style(0), style(1), style(7)
    ('m0 d0', 'm1 d0', 'm1 d1')
    """
    return f"m{1 + (number - 1) % _COLORS} d{(number - 1) // _COLORS}" if number else "m0 d0"


class Scale(NamedTuple):
    """Ends of both axes, which charts side by side share.

    Attributes
    ----------
    across, upwards
        The ends.
    level
        Height of a horizontal line, the founder's; None: none.
    """

    across: tuple[float, float]
    upwards: tuple[float, float]
    level: float | None

    @classmethod
    def of(cls, lines: Sequence[Line], level: float | None = None) -> Scale:
        """Make the scale of all lines, of which at least one has marks."""
        marks = [mark for line in lines for mark in line.marks]
        heights = [
            value for mark in marks for value in (mark.y, mark.low, mark.high) if value is not None
        ]
        if level is not None:
            heights.append(level)
        lowest = _lowest([mark.y for mark in marks], max(heights))
        return cls(
            log_limits(mark.x for mark in marks),
            limits(max(height, lowest) for height in heights),
            level,
        )


def lines_chart(
    title: str, lines: Sequence[Line], scale: Scale, across: str, upwards: str
) -> Element:
    """Draw lines over a logarithmic axis.

    Parameters
    ----------
    title
        Read by screen readers.
    lines
        The lines; those without marks are left out.
    scale
        Ends of the axes.
    across, upwards
        Names of the axes.
    """
    axes = Axes.of(_WIDTH, _HEIGHT, _MARGIN, scale.across, scale.upwards)
    parts = axes.draw(across, upwards)
    if scale.level is not None:
        y = axes.y(scale.level)
        parts += [
            tag("line", x1=axes.left, x2=axes.right, y1=y, y2=y, class_="level"),
            tag("text", "founder", x=axes.left + 6, y=y - 5, class_="soft"),
        ]
    drawn = [line for line in lines if line.marks]
    middle = (len(drawn) - 1) / 2
    # Marks of one budget stand side by side, or their intervals could not be told apart; the
    # evolution is drawn last, over all others.
    for index, line in reversed(list(enumerate(drawn))):
        parts.append(_line(line, axes, (index - middle) * _STEP))
    return tag(
        "svg",
        tag("title", title),
        *parts,
        role="img",
        class_="chart",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )


def _lowest(heights: Sequence[float], highest: float) -> float:
    """Return the least height drawn to scale: as far below most marks as the highest is above.

    A method that fails utterly would otherwise press all others into one line.
    """
    lower = float(np.quantile(heights, 0.25))
    return min(lower, 2 * lower - highest)


def _line(line: Line, axes: Axes, shift: float) -> Element:
    """Draw a line and its marks, shifted to the right by some pixels."""
    places = [(axes.x(mark.x) + shift, axes.y(mark.y)) for mark in line.marks]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    shapes = [tag("polyline", points=path, class_="path")]
    for mark, (x, y) in zip(line.marks, places):
        if mark.low is not None and mark.high is not None:
            y1, y2 = axes.y(mark.low), axes.y(mark.high)
            shapes.append(tag("line", x1=x, x2=x, y1=y1, y2=y2, class_="bar"))
        dot = _shape(line.number, x, y, mark.y < axes.upwards[0])
        inside = [tag("title", mark.words), dot]
        shapes.append(tag("a", *inside, href=mark.link) if mark.link else tag("g", *inside))
    return tag("g", *shapes, class_=f"line {style(line.number)}")


def _shape(number: int, x: float, y: float, below: bool) -> Element:
    """Draw a mark: methods differ in shape, too; what lies below the chart points down."""
    if below:
        return tag("path", d=f"M{x - 6:.1f} {y - 10:.1f}h12l-6 9z", class_="dot")
    forms = (
        f"M{x - 6:.1f} {y:.1f}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z",
        f"M{x - 5:.1f} {y - 5:.1f}h10v10h-10z",
        f"M{x:.1f} {y - 6:.1f}l6 10h-12z",
        f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z",
        f"M{x - 6:.1f} {y - 4:.1f}h12l-6 10z",
        f"M{x - 2:.1f} {y - 6:.1f}h4v4h4v4h-4v4h-4v-4h-4v-4h4z",
    )
    # Methods of the same color, one round of colors later, get another shape.
    form = (number + (number - 1) // _COLORS) % len(forms) if number else 0
    return tag("path", d=forms[form], class_="dot")


def legend(lines: Sequence[Line]) -> Element:
    """List the names of the lines with their marks."""
    keys = [
        tag(
            "li",
            tag("svg", _shape(line.number, 8, 8, False), width=16, height=16, aria_hidden="true"),
            line.name,
            class_=f"line {style(line.number)}",
        )
        for line in lines
        if line.marks
    ]
    return tag("ul", *keys, class_="legend")
