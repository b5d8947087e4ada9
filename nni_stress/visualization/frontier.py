"""Figure of fidelity against architecture efficiency, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..evolution.selection import by_generation
from ..lineage.store import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

Point = tuple[float, float]  # architecture efficiency, test fidelity


class FrontierFacts(NamedTuple):
    """What the figure shows.

    Attributes
    ----------
    points
        (efficiency, test fidelity) of each offspring, by generation.
    lineage
        (efficiency, test fidelity) of the founder and its survivors, in order.
    tolerated
        Test fidelity that is lower than the founder's by the tolerance.

    Examples
    --------
    >>> facts = FrontierFacts({0: [(1.0, 0.9)], 1: [(2.0, 0.8)]}, [(1.0, 0.9)], tolerated=0.89)
    >>> facts.points[1]
    [(2.0, 0.8)]
    """

    points: dict[int, list[Point]]
    lineage: list[Point]
    tolerated: float


def frontier_facts(
    records: Sequence[Record], survivors: Sequence[Record], tolerance: float
) -> FrontierFacts:
    """Collect what the figure shows.

    Parameters
    ----------
    records
        All records of a lineage, in order of generation.
    survivors
        The founder and the survivors, in order.
    tolerance
        Loss of fidelity that is tolerated.

    Returns
    -------
    FrontierFacts
        Points and lines of the figure.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", generation=1, test=0.88, efficiency=4.0)
    >>> facts = frontier_facts([founder, small], [founder], tolerance=0.01)
    >>> facts.points, facts.tolerated
    ({0: [(1.0, 0.9)], 1: [(4.0, 0.88)]}, 0.89)
    """
    points = {
        number: [_point(record) for record in generation]
        for number, generation in enumerate(by_generation(records))
    }
    return FrontierFacts(
        points, [_point(record) for record in survivors], survivors[0].test - tolerance
    )


def _point(record: Record) -> Point:
    return record.efficiency, record.test


def draw_frontier(facts: FrontierFacts, path: str | Path) -> None:
    """Draw fidelity against efficiency.

    Parameters
    ----------
    facts
        What to show.
    path
        PNG file to write.

    Examples
    --------
    >>> import tempfile
    >>> points = {0: [(1.0, 0.9)], 1: [(2.0, 0.89), (3.0, 0.8)]}
    >>> facts = FrontierFacts(points, lineage=[(1.0, 0.9), (2.0, 0.89)], tolerated=0.88)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_frontier(facts, Path(folder, "frontier.png"))
    ...     Path(folder, "frontier.png").read_bytes()[1:4]
    b'PNG'
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5), layout="constrained")
    colours = matplotlib.colormaps["viridis"]
    last = max(facts.points) or 1
    for generation, points in sorted(facts.points.items()):
        label = "founder" if generation == 0 else f"generation {generation}"
        colour = colours(0.9 * generation / last)
        x, y = zip(*points)
        axes.scatter(x, y, color=colour, s=50, zorder=3, label=label)
    x, y = zip(*facts.lineage)
    axes.plot(x, y, color="0.35", linewidth=1.2, zorder=2, label="lineage of the survivor")
    axes.axhline(
        facts.tolerated,
        color="tab:red",
        linestyle=":",
        linewidth=1,
        label="founder less the tolerance",
    )
    _label_axes(
        axes, max(efficiency for points in facts.points.values() for efficiency, _ in points)
    )
    figure.legend(fontsize="small", loc="outside right upper")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _label_axes(axes: Axes, largest: float) -> None:
    axes.set_xscale("log")
    ticks = [tick for tick in _TICKS if tick <= 1.5 * largest]
    axes.set_xticks(ticks, [f"{tick}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("architecture efficiency (founder's synapses / offspring's synapses)")
    axes.set_ylabel("test fidelity")
    axes.grid(alpha=0.3)
