"""Fidelity (accuracy or mAP) against efficiency of every offspring."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from ..lineage.store import Record
from ..resources import RESOURCES
from .axes import Axes, limits, log_limits
from .family_tree import tooltip
from .markup import Element, tag
from .snapshot import Offspring, Overview
from .text import times

# Sizes in pixels.
_WIDTH = 1128
_HEIGHT = 460
_RIGHT = 118  # room for the name of the tolerance


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
    best
        Name of the best survivor, if there is one.

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
    best: str | None = None


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
        best=overview.line[-1].uid if overview.line else None,
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
    axes = _axes(plot)
    points = [point for generation in plot.points.values() for point in generation]
    points.sort(key=lambda point: point[0].uid in plot.survivors)  # survivors are drawn on top
    return tag(
        "svg",
        tag("title", "Fidelity against efficiency"),
        *axes.draw(f"efficiency ({plot.unit})", "validation fidelity"),
        *_tolerance(plot.tolerated, axes),
        _frontier(plot.frontier, axes),
        *(_point(child, record, plot, axes) for child, record in points),
        *(_name(record, axes) for _, record in points if record.uid == plot.best),
        class_="scatter",
        role="img",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )


def place_of_best(plot: ScatterPlot) -> float | None:
    """Where the best survivor is across the figure, as a share of its width; None without one.

    Examples
    --------
    >>> record = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> founder = Offspring("g000-00", 0, None, None, {}, "recorded", record=record)
    >>> points = {0: [(founder, record)]}
    >>> plot = ScatterPlot(points, {"g000-00"}, [], "g000-00", 0.89, 0.9, "synapses", "g000-00")
    >>> 0.1 < place_of_best(plot) < 0.9
    True
    """
    axes = _axes(plot)
    shares = (
        axes.x(record.efficiency) / _WIDTH
        for points in plot.points.values()
        for _, record in points
        if record.uid == plot.best
    )
    return next(shares, None)


def _axes(plot: ScatterPlot) -> Axes:
    records = [record for points in plot.points.values() for _, record in points]
    heights = [max(record.validation, plot.bottom) for record in records]
    if plot.tolerated is not None:
        heights.append(plot.tolerated)
    return Axes.of(
        _WIDTH,
        _HEIGHT,
        _RIGHT,
        across=log_limits([1.0, *(record.efficiency for record in records)]),
        upwards=limits(heights),
    )


def _tolerance(tolerated: float | None, axes: Axes) -> list[Element]:
    if tolerated is None:
        return []
    level = axes.y(tolerated)
    return [
        tag("line", x1=axes.left, x2=axes.right, y1=level, y2=level, class_="tolerance"),
        tag(
            "text",
            "founder minus",
            tag("tspan", "tolerance", x=axes.right + 6, dy=14),
            x=axes.right + 6,
            y=level - 3,
            class_="tolerated",
        ),
    ]


def _frontier(frontier: list[tuple[float, float]], axes: Axes) -> Element:
    """A staircase, as no offspring lies between two steps."""
    steps = frontier[:1]
    for before, after in pairwise(frontier):
        steps += [(after[0], before[1]), after]
    points = " ".join(f"{axes.x(step[0]):.1f},{axes.y(step[1]):.1f}" for step in steps)
    return tag("polyline", points=points, class_="frontier")


def _point(child: Offspring, record: Record, plot: ScatterPlot, axes: Axes) -> Element:
    x = axes.x(record.efficiency)
    y = axes.y(record.validation)
    survives = child.uid in plot.survivors
    fill = f"g{child.generation}"
    if child.uid == plot.founder:
        shape = tag("path", d=f"M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9z", class_=fill)
    elif record.validation < plot.bottom:
        shape = tag("path", d=f"M{x - 6:.1f} {y - 10:.1f}h12l-6 9z", class_=fill)
    else:
        shape = tag("circle", cx=x, cy=y, r=7.0 if survives else 5.0, class_=fill)
    classes = ["node", "survivor" if survives else "recorded"]
    if child.uid == plot.best:
        classes.append("best")
    return tag(
        "a",
        tag("title", tooltip(child)),
        shape,
        href=f"#{child.uid}",
        class_=" ".join(classes),
    )


def _name(record: Record, axes: Axes) -> Element:
    """What the best survivor achieved, beside its point."""
    x = axes.x(record.efficiency)
    is_left = x < (axes.left + axes.right) / 2
    return tag(
        "text",
        f"{times(record.efficiency)}, {record.validation:.4f}",
        x=x + (12 if is_left else -12),
        y=max(axes.y(record.validation) - 12, axes.top + 12),
        text_anchor="start" if is_left else "end",
        class_="name",
    )
