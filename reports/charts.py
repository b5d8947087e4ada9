"""Charts of a report as SVG: readable in light and dark, by people with any colour vision, by keyboard and screen reader."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nni_stress.visualization.markup import Element, tag
from nni_stress.visualization.scatter import log_ticks, ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 900, 430, 66, 210, 14, 46
_LETTER = 7.6  # width of a letter of a name, at most on average
_COLOURS = 6  # of report.css, after the first, which is the evolution's; beyond, lines are dashed


class Mark(NamedTuple):
    """A point of a line: where, its interval (None: none), what it says when asked, the record it links to (None: none)."""

    x: float
    y: float
    low: float | None
    high: float | None
    words: str
    link: str | None


class Line(NamedTuple):
    """One method's line; `number` is its place among all methods, 0 the evolution's."""

    name: str
    number: int
    marks: list[Mark]


def style(number: int) -> str:
    """The classes of a method's line and marks."""
    return f"m{1 + (number - 1) % _COLOURS} d{(number - 1) // _COLOURS}" if number else "m0 d0"


def lines_chart(
    title: str,
    lines: Sequence[Line],
    across: str,
    upwards: str,
    level: tuple[float, str] | None = None,
) -> Element:
    """Lines over a logarithmic axis, each named at its end."""
    marks = [mark for line in lines for mark in line.marks]
    heights = [value for m in marks for value in (m.y, m.low, m.high) if value is not None] + (
        [level[0]] if level else []
    )
    low, high = _lowest(lines, heights), max(heights)
    low, high = low - 0.06 * (high - low or 0.01), high + 0.06 * (high - low or 0.01)
    left, right = min(m.x for m in marks) / 1.12, max(m.x for m in marks) * 1.12

    def x(value):
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log(value / left) / math.log(right / left)

    def y(value):
        return (
            _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (max(value, low) - low) / (high - low)
        )

    parts = _axes(
        [(x(v), f"{v:g}x") for v in log_ticks(left, right)],
        [(y(v), text) for v, text in ticks(low, high).items()],
        across,
        upwards,
    )
    if level:
        parts += [
            tag(
                "line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y(level[0]), y2=y(level[0]), class_="level"
            ),
            tag("text", level[1], x=_LEFT + 6, y=y(level[0]) - 5, class_="soft"),
        ]
    ends = _apart({line.name: y(line.marks[-1].y) for line in lines if line.marks})
    for line in sorted(lines, key=lambda line: -line.number):
        if line.marks:
            parts.append(_line(line, x, y, low, ends[line.name]))
    widest = max(len(name) for name in ends) * _LETTER
    return tag(
        "svg",
        tag("title", title),
        *parts,
        role="img",
        class_="chart",
        viewBox=f"0 0 {max(_WIDTH, _WIDTH - _RIGHT + 18 + widest):.0f} {_HEIGHT}",
    )


def _lowest(lines: Sequence[Line], heights: list[float]) -> float:
    """The least that is drawn to scale: a method that fails utterly would press all others into one line."""
    found = sorted(line.marks[-1].y for line in lines if line.marks)
    middle = found[len(found) // 2]
    return max(min(heights), middle - 3 * (max(heights) - middle))


def _line(line: Line, x, y, low: float, end: float) -> Element:
    path = " ".join(f"{x(m.x):.1f},{y(m.y):.1f}" for m in line.marks)
    shapes = [tag("polyline", points=path, class_="path")]
    for mark in line.marks:
        at, height = x(mark.x), y(mark.y)
        if mark.low is not None:
            shapes.append(tag("line", x1=at, x2=at, y1=y(mark.low), y2=y(mark.high), class_="bar"))
        inside = [tag("title", mark.words), _shape(line.number, at, height, mark.y < low)]
        shapes.append(tag("a", *inside, href=mark.link) if mark.link else tag("g", *inside))
    last = line.marks[-1]
    shapes += [
        tag("line", x1=x(last.x) + 7, x2=_WIDTH - _RIGHT + 14, y1=y(last.y), y2=end, class_="lead"),
        tag("text", line.name, x=_WIDTH - _RIGHT + 18, y=end + 4, class_="name"),
    ]
    return tag("g", *shapes, class_=f"line {style(line.number)}")


def _shape(number: int, x: float, y: float, below: bool) -> Element:
    """Methods differ in form as well as in colour; what lies below the figure points down."""
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
    return tag(
        "path",
        d=forms[(number + (number - 1) // _COLOURS) % len(forms) if number else 0],
        class_="dot",
    )


def legend(lines: Sequence[Line]) -> Element:
    """The names again, for where the figure is wider than the screen."""
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


def _apart(wanted: Mapping[str, float], least: float = 15.0) -> dict[str, float]:
    """Heights of labels near those wanted, so far from each other that all can be read."""
    order = sorted(wanted, key=wanted.get)
    found, last = {}, -math.inf
    for name in order:
        found[name] = last = max(wanted[name], last + least)
    excess = max(0.0, last - (_HEIGHT - _BOTTOM))
    for name in reversed(order):
        if excess <= 0:
            break
        found[name] -= excess
        below = [found[other] for other in order[: order.index(name)]]
        excess = max(0.0, (below[-1] + least - found[name]) if below else 0.0)
    return found


def _axes(columns, rows, across: str, upwards: str) -> list[Element]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    found = [tag("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid") for x, _ in columns]
    found += [tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid") for y, _ in rows]
    found += [tag("text", words, x=x, y=bottom + 17, text_anchor="middle") for x, words in columns]
    found += [tag("text", words, x=_LEFT - 8, y=y + 4, text_anchor="end") for y, words in rows]
    found += [
        tag("text", across, x=(_LEFT + right) / 2, y=_HEIGHT - 8, text_anchor="middle"),
        tag(
            "text",
            upwards,
            text_anchor="middle",
            transform=f"translate(14 {(_TOP + bottom) / 2:.0f}) rotate(-90)",
        ),
    ]
    return found


def bars_chart(title: str, bars: Sequence[tuple[str, float, float]]) -> Element:
    """(name, founder's number, survivor's number): a bar for each layer, the survivor's part filled."""
    row, left, width = 26, 150, 520
    most = max(whole for _, whole, _ in bars)
    parts = []
    for index, (name, whole, kept) in enumerate(bars):
        y = index * row
        parts += [
            tag("text", name, x=left - 8, y=y + 17, text_anchor="end"),
            tag(
                "rect",
                x=left,
                y=y + 4,
                width=max(1.0, width * whole / most),
                height=16,
                class_="whole",
            ),
            tag(
                "rect",
                x=left,
                y=y + 4,
                width=max(1.0, width * kept / most),
                height=16,
                class_="kept",
            ),
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
