"""Charts of a report as SVG, for light and dark, any color vision, keyboard and screen reader."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nni_stress.visualization.axes import Axes, limits, log_limits
from nni_stress.visualization.markup import Element, tag

_WIDTH, _HEIGHT = 1072, 460
_LEAD = 18  # from the field to the names of the lines
_LETTER = 9.0  # width of a letter of a name, at most on average
_COLORS = 6  # in report.css, after the evolution's; further lines are dashed
_LABEL_HEIGHT = 15.0


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


def lines_chart(
    title: str,
    lines: Sequence[Line],
    across: str,
    upwards: str,
    level: tuple[float, str] | None = None,
) -> Element:
    """Draw lines over a logarithmic axis, each named at its end.

    Parameters
    ----------
    title
        Read by screen readers.
    lines
        The lines; at least one has marks.
    across, upwards
        Names of the axes.
    level
        A horizontal line: (height, name).
    """
    drawn = [line for line in lines if line.marks]
    axes = _axes(drawn, level)
    parts = axes.draw(across, upwards)
    if level:
        y = axes.y(level[0])
        parts += [
            tag("line", x1=axes.left, x2=axes.right, y1=y, y2=y, class_="level"),
            tag("text", level[1], x=axes.left + 6, y=y - 5, class_="soft"),
        ]
    ends = _spread_labels({line.name: axes.y(line.marks[-1].y) for line in drawn}, axes.bottom)
    for line in sorted(drawn, key=lambda line: -line.number):
        parts.append(_line(line, axes, ends[line.name]))
    return tag(
        "svg",
        tag("title", title),
        *parts,
        role="img",
        class_="chart",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )


def _axes(lines: Sequence[Line], level: tuple[float, str] | None) -> Axes:
    marks = [mark for line in lines for mark in line.marks]
    heights = [
        value for mark in marks for value in (mark.y, mark.low, mark.high) if value is not None
    ]
    if level:
        heights.append(level[0])
    lowest = _lowest(lines, heights)
    return Axes.of(
        _WIDTH,
        _HEIGHT,
        room=_LEAD + _LETTER * max(len(line.name) for line in lines),
        across=log_limits(mark.x for mark in marks),
        upwards=limits(max(height, lowest) for height in heights),
    )


def _lowest(lines: Sequence[Line], heights: Sequence[float]) -> float:
    """Return the least height drawn to axes.

    A method that fails utterly would otherwise press all others into one line.
    """
    ends = sorted(line.marks[-1].y for line in lines if line.marks)
    middle = ends[len(ends) // 2]
    return max(min(heights), middle - 3 * (max(heights) - middle))


def _line(line: Line, axes: Axes, label_y: float) -> Element:
    path = " ".join(f"{axes.x(mark.x):.1f},{axes.y(mark.y):.1f}" for mark in line.marks)
    shapes = [tag("polyline", points=path, class_="path")]
    for mark in line.marks:
        x = axes.x(mark.x)
        if mark.low is not None and mark.high is not None:
            y1, y2 = axes.y(mark.low), axes.y(mark.high)
            shapes.append(tag("line", x1=x, x2=x, y1=y1, y2=y2, class_="bar"))
        dot = _shape(line.number, x, axes.y(mark.y), mark.y < axes.upwards[0])
        inside = [tag("title", mark.words), dot]
        shapes.append(tag("a", *inside, href=mark.link) if mark.link else tag("g", *inside))
    last = line.marks[-1]
    shapes += [
        tag(
            "line",
            x1=axes.x(last.x) + 7,
            x2=axes.right + _LEAD - 4,
            y1=axes.y(last.y),
            y2=label_y,
            class_="lead",
        ),
        tag("text", line.name, x=axes.right + _LEAD, y=label_y + 4, class_="name"),
    ]
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
    """List the names again, for screens narrower than the chart."""
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


def _spread_labels(
    wanted: Mapping[str, float], lowest: float, distance: float = _LABEL_HEIGHT
) -> dict[str, float]:
    """Return heights of labels near the wanted ones, far enough apart to be read."""
    order = sorted(wanted, key=lambda name: wanted[name])
    heights: dict[str, float] = {}
    last = -math.inf
    for name in order:
        last = max(wanted[name], last + distance)
        heights[name] = last
    excess = max(0.0, last - lowest)
    for index in reversed(range(len(order))):
        if excess <= 0:
            break
        heights[order[index]] -= excess
        if index == 0:
            break
        excess = max(0.0, heights[order[index - 1]] + distance - heights[order[index]])
    return heights


def bars_chart(title: str, bars: Sequence[tuple[str, float, float]]) -> Element:
    """Draw a bar for each layer, with the survivor's part filled.

    Parameters
    ----------
    title
        Read by screen readers.
    bars
        (layer, number of the founder's clusters, number of the survivor's clusters).
    """
    row, left, width = 26, 150, 520
    most = max(whole for _, whole, _ in bars)

    def bar(y: float, value: float, class_: str) -> Element:
        length = max(1.0, width * value / most)
        return tag("rect", x=left, y=y + 4, width=length, height=16, class_=class_)

    parts = []
    for index, (name, whole, kept) in enumerate(bars):
        y = index * row
        parts += [
            tag("text", name, x=left - 8, y=y + 17, text_anchor="end"),
            bar(y, whole, "whole"),
            bar(y, kept, "kept"),
            tag("text", f"{kept:g} of {whole:g}", x=left + width * whole / most + 8, y=y + 17),
        ]
    return tag(
        "svg",
        tag("title", title),
        *parts,
        role="img",
        viewBox=f"0 0 {left + width + 130} {row * len(bars)}",
        class_="chart bars",
    )
