"""Fidelity against efficiency of every offspring."""

from __future__ import annotations

import math
from typing import NamedTuple

from .colors import colour
from .family_tree import tooltip
from .markup import Element, tag
from .snapshot import Offspring, Overview

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 400, 62, 118, 14, 46


class ScatterFacts(NamedTuple):
    """What the figure shows: offspring by generation, and lines; coordinates are (efficiency, validation fidelity)."""

    points: dict[int, list[Offspring]]
    survivors: set[str]
    frontier: list[tuple[float, float]]
    founder: str | None
    tolerated: float | None  # the founder's fidelity less the tolerance
    bottom: float  # the least fidelity that is drawn to scale: a few wrecks would press all others into one line
    unit: str


def scatter_facts(facts: Overview) -> ScatterFacts:
    """Gather what the figure shows."""
    points: dict[int, list[Offspring]] = {}
    for child in facts.offspring:
        if child.record:
            points.setdefault(child.generation, []).append(child)
    founder = facts.founder
    tolerated = founder and founder.validation - facts.rules.tolerance
    return ScatterFacts(
        points,
        facts.survivors,
        [(record.efficiency, record.validation) for record in facts.frontier],
        founder and founder.uid,
        tolerated,
        _bottom(facts, tolerated),
        unit(facts),
    )


def _bottom(facts: Overview, tolerated: float | None) -> float:
    found = sorted(child.record.validation for child in facts.offspring if child.record)
    if not found:
        return 0.0
    most = min([found[len(found) // 4], *([] if tolerated is None else [tolerated])])
    return max(found[0], most - 1.5 * (found[-1] - most)) if found[-1] > most else found[0]


def unit(facts: Overview) -> str:
    """What efficiency means in this evolution."""
    what = {"parameters": "synapses", "macs": "MACs", "latency": "latency"}[facts.rules.resource]
    return f"founder's {what} / offspring's {what}"


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... within the range; 1, 10, 100, ... where it is wide."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high / low < 1000 else (1,)
    return [
        digit * 10.0**power
        for power in powers
        for digit in digits
        if low <= digit * 10.0**power <= high
    ]


def ticks(low: float, high: float) -> dict[float, str]:
    """A few round numbers within the range, each with its text."""
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return {
        n * step: f"{n * step:.{digits}f}"
        for n in range(math.ceil(low / step), math.floor(high / step) + 1)
    }


def draw_scatter(facts: ScatterFacts) -> Element:
    """The figure as SVG."""
    records = [child.record for children in facts.points.values() for child in children]
    heights = [max(record.validation, facts.bottom) for record in records]
    low, high = _padded(
        min([*heights, facts.tolerated if facts.founder else heights[0]]), max(heights)
    )
    left, right = (
        min(1.0, *(r.efficiency for r in records)) / 1.08,
        max(r.efficiency for r in records) * 1.15,
    )

    def x(efficiency):
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * math.log(efficiency / left) / math.log(
            right / left
        )

    def y(fidelity):
        return (
            _HEIGHT
            - _BOTTOM
            - (_HEIGHT - _TOP - _BOTTOM) * (max(fidelity, low) - low) / (high - low)
        )

    parts = _axes(
        facts.unit,
        [(x(tick), f"{tick:,g}x") for tick in log_ticks(left, right)],
        [(y(tick), text) for tick, text in ticks(low, high).items()],
    )
    if facts.tolerated is not None:
        level, end = y(facts.tolerated), _WIDTH - _RIGHT
        parts += [
            tag("line", x1=_LEFT, x2=end, y1=level, y2=level, class_="tolerance"),
            tag(
                "text",
                "founder less",
                tag("tspan", "the tolerance", x=end + 6, dy=12),
                x=end + 6,
                y=level - 2,
                class_="tolerated",
            ),
        ]
    corners = [
        (one[0], other[1]) for one, other in zip(facts.frontier[1:], facts.frontier)
    ]  # a stair: nothing lies between
    stair = [
        *facts.frontier[:1],
        *(spot for pair in zip(corners, facts.frontier[1:]) for spot in pair),
    ]
    parts.append(
        tag(
            "polyline",
            points=" ".join(f"{x(e):.1f},{y(f):.1f}" for e, f in stair),
            class_="frontier",
        )
    )
    children = sorted(
        (child for children in facts.points.values() for child in children),
        key=lambda child: child.uid in facts.survivors,
    )  # survivors on top
    for child in children:
        fill = colour(child.generation, max(facts.points))
        parts.append(
            _point(child, x(child.record.efficiency), y(child.record.validation), fill, facts)
        )
    return tag(
        "svg",
        tag("title", "Fidelity against efficiency"),
        *parts,
        class_="scatter",
        role="img",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def _axes(unit: str, columns, rows) -> list[Element]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    lines = [tag("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid") for x, _ in columns]
    lines += [tag("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="grid") for y, _ in rows]
    words = [tag("text", label, x=x, y=bottom + 17, text_anchor="middle") for x, label in columns]
    words += [tag("text", label, x=_LEFT - 8, y=y + 4, text_anchor="end") for y, label in rows]
    words += [
        tag(
            "text",
            f"efficiency ({unit})",
            x=(_LEFT + right) / 2,
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
    return lines + words


def _point(child: Offspring, x: float, y: float, fill: str, facts: ScatterFacts) -> Element:
    if child.uid == facts.founder:
        shape = tag("path", d=f"M{x:.1f} {y - 9:.1f}l9 9l-9 9l-9 -9z", fill=fill)
    elif child.record.validation < facts.bottom:
        shape = tag("path", d=f"M{x - 6:.1f} {y - 10:.1f}h12l-6 9z", fill=fill)
    else:
        shape = tag("circle", cx=x, cy=y, r=7.0 if child.uid in facts.survivors else 5.0, fill=fill)
    kind = "survivor" if child.uid in facts.survivors else "recorded"
    return tag(
        "a", tag("title", tooltip(child)), shape, href=f"#{child.uid}", class_=f"node {kind}"
    )
