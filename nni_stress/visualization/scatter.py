"""Fidelity (accuracy or mAP) against efficiency of every offspring."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from ..lineage.store import Record
from ..resources import RESOURCES
from .colors import color
from .family_tree import tooltip
from .markup import Element, tag
from .snapshot import Offspring, Overview

# Sizes in pixels: of the figure, and of the margins around the axes.
_WIDTH = 760
_HEIGHT = 400
_LEFT = 62
_RIGHT = 118
_TOP = 14
_BOTTOM = 46
_END = _WIDTH - _RIGHT


class ScatterPlot(NamedTuple):
    """What the figure shows. Coordinates are (efficiency, validation fidelity).

    Parameters
    ----------
    points
        Offspring with their records, by generation.
    survivors
        Names of the survivors.
    frontier
        Coordinates of the frontier, the most efficient first.
    founder
        Name of the founder, if it is recorded.
    tolerated
        The founder's fidelity minus the tolerance.
    bottom
        The lowest fidelity that is drawn to scale. Lower ones are drawn at the lower edge, as a few
        failures would otherwise squeeze all other points into one line.
    unit
        What efficiency means.

    Examples
    --------
    >>> record = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> founder = Offspring("g000-00", 0, None, None, {}, "recorded", record=record)
    >>> points = {0: [(founder, record)]}
    >>> plot = ScatterPlot(points, {"g000-00"}, [(1.0, 0.9)], "g000-00", 0.89, 0.9, "synapses")
    >>> plot.tolerated
    0.89
    """

    points: dict[int, list[tuple[Offspring, Record]]]
    survivors: set[str]
    frontier: list[tuple[float, float]]
    founder: str | None
    tolerated: float | None
    bottom: float
    unit: str


def scatter_plot(overview: Overview) -> ScatterPlot:
    """Gather what the figure shows.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01)
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> plot = scatter_plot(Overview(Path("lineage"), rules, founder=founder, frontier=[founder]))
    >>> plot.frontier, plot.tolerated
    ([(1.0, 0.9)], 0.89)
    """
    points: dict[int, list[tuple[Offspring, Record]]] = {}
    for child, record in overview.recorded:
        points.setdefault(child.generation, []).append((child, record))
    founder = overview.founder
    tolerated = None if founder is None else founder.validation - overview.rules.tolerance
    return ScatterPlot(
        points=points,
        survivors=overview.survivors,
        frontier=[(record.efficiency, record.validation) for record in overview.frontier],
        founder=None if founder is None else founder.uid,
        tolerated=tolerated,
        bottom=_bottom(overview, tolerated),
        unit=unit(overview),
    )


def _bottom(overview: Overview, tolerated: float | None) -> float:
    found = sorted(record.validation for _, record in overview.recorded)
    if not found:
        return 0.0
    middle = found[len(found) // 4]
    if tolerated is not None:
        middle = min(middle, tolerated)
    if found[-1] <= middle:
        return found[0]
    return max(found[0], middle - 1.5 * (found[-1] - middle))


def unit(overview: Overview) -> str:
    """What efficiency means in this evolution.

    Examples
    --------
    >>> from pathlib import Path
    >>> from nni_stress.evolution.rules import Rules
    >>> rules = Rules(generations=3, tolerance=0.01, resource="macs")
    >>> unit(Overview(Path("lineage"), rules))
    "founder's MACs / offspring's MACs"
    """
    unit_name = RESOURCES[overview.rules.resource].unit
    return f"founder's {unit_name} / offspring's {unit_name}"


def log_ticks(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2, 5, 10, ..., or powers of ten if the range is wide.

    Examples
    --------
    >>> log_ticks(0.9, 45)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    >>> log_ticks(1, 10_000)
    [1.0, 10.0, 100.0, 1000.0, 10000.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high / low < 1000 else (1,)
    return [
        digit * 10.0**power
        for power in powers
        for digit in digits
        if low <= digit * 10.0**power <= high
    ]


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


class _Scale(NamedTuple):
    """Where in the figure an efficiency (logarithmic) and a fidelity (linear) are."""

    left: float
    right: float
    low: float
    high: float

    @classmethod
    def of(cls, plot: ScatterPlot) -> _Scale:
        records = [record for points in plot.points.values() for _, record in points]
        heights = [max(record.validation, plot.bottom) for record in records]
        lowest = min(heights)
        if plot.tolerated is not None:
            lowest = min(lowest, plot.tolerated)
        margin = 0.06 * (max(heights) - lowest) or 0.01
        return cls(
            left=min(1.0, *(record.efficiency for record in records)) / 1.08,
            right=max(record.efficiency for record in records) * 1.15,
            low=lowest - margin,
            high=max(heights) + margin,
        )

    def x(self, efficiency: float) -> float:
        width = _END - _LEFT
        return _LEFT + width * math.log(efficiency / self.left) / math.log(self.right / self.left)

    def y(self, fidelity: float) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        above = max(fidelity, self.low) - self.low
        return _HEIGHT - _BOTTOM - height * above / (self.high - self.low)


def draw_scatter(plot: ScatterPlot) -> Element:
    """The figure as SVG.

    Examples
    --------
    >>> record = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> founder = Offspring("g000-00", 0, None, None, {}, "recorded", record=record)
    >>> points = {0: [(founder, record)]}
    >>> plot = ScatterPlot(points, {"g000-00"}, [(1.0, 0.9)], "g000-00", 0.89, 0.9, "synapses")
    >>> [element.get("href") for element in draw_scatter(plot).findall("a")]
    ['#g000-00']
    """
    scale = _Scale.of(plot)
    last = max(plot.points)
    points = [point for generation in plot.points.values() for point in generation]
    points.sort(key=lambda point: point[0].uid in plot.survivors)  # survivors are drawn on top
    return tag(
        "svg",
        tag("title", "Fidelity against efficiency"),
        *_axes(plot.unit, scale),
        *_tolerance(plot.tolerated, scale),
        _frontier(plot.frontier, scale),
        *(
            _point(child, record, color(child.generation, last), plot, scale)
            for child, record in points
        ),
        class_="scatter",
        role="img",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )


def _axes(unit: str, scale: _Scale) -> list[Element]:
    bottom = _HEIGHT - _BOTTOM
    columns = [(scale.x(tick), f"{tick:,g}x") for tick in log_ticks(scale.left, scale.right)]
    rows = [(scale.y(tick), text) for tick, text in ticks(scale.low, scale.high).items()]
    return [
        *(tag("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid") for x, _ in columns),
        *(tag("line", x1=_LEFT, x2=_END, y1=y, y2=y, class_="grid") for y, _ in rows),
        *(tag("text", text, x=x, y=bottom + 17, text_anchor="middle") for x, text in columns),
        *(tag("text", text, x=_LEFT - 8, y=y + 4, text_anchor="end") for y, text in rows),
        tag(
            "text",
            f"efficiency ({unit})",
            x=(_LEFT + _END) / 2,
            y=_HEIGHT - 8,
            text_anchor="middle",
        ),
        tag(
            "text",
            "validation fidelity",
            text_anchor="middle",
            transform=f"translate(14 {(_TOP + bottom) / 2:.0f}) rotate(-90)",
        ),
    ]


def _tolerance(tolerated: float | None, scale: _Scale) -> list[Element]:
    if tolerated is None:
        return []
    level = scale.y(tolerated)
    return [
        tag("line", x1=_LEFT, x2=_END, y1=level, y2=level, class_="tolerance"),
        tag(
            "text",
            "founder minus",
            tag("tspan", "tolerance", x=_END + 6, dy=12),
            x=_END + 6,
            y=level - 2,
            class_="tolerated",
        ),
    ]


def _frontier(frontier: list[tuple[float, float]], scale: _Scale) -> Element:
    """A staircase, as no offspring lies between two steps."""
    steps = frontier[:1]
    for before, after in pairwise(frontier):
        steps += [(after[0], before[1]), after]
    points = " ".join(f"{scale.x(step[0]):.1f},{scale.y(step[1]):.1f}" for step in steps)
    return tag("polyline", points=points, class_="frontier")


def _point(
    child: Offspring, record: Record, fill: str, plot: ScatterPlot, scale: _Scale
) -> Element:
    x = scale.x(record.efficiency)
    y = scale.y(record.validation)
    survives = child.uid in plot.survivors
    if child.uid == plot.founder:
        shape = tag("path", d=f"M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9z", fill=fill)
    elif record.validation < plot.bottom:
        shape = tag("path", d=f"M{x - 6:.1f} {y - 10:.1f}h12l-6 9z", fill=fill)
    else:
        shape = tag("circle", cx=x, cy=y, r=7.0 if survives else 5.0, fill=fill)
    return tag(
        "a",
        tag("title", tooltip(child)),
        shape,
        href=f"#{child.uid}",
        class_=f"node {'survivor' if survives else 'recorded'}",
    )
