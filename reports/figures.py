"""Figures, each drawn from named facts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nni_stress.evolution.selection import by_generation
from nni_stress.lineage.store import Record


class FrontierFacts(NamedTuple):
    """Fidelity against efficiency: one point (efficiency, test fidelity) per offspring, by generation."""

    points: dict[int, list[tuple[float, float]]]
    lineage: list[tuple[float, float]]  # the founder and its survivors, in order
    tolerated: float  # the test fidelity a tolerance below the founder's


def frontier_facts(
    records: Sequence[Record], survivors: Sequence[Record], tolerance: float
) -> FrontierFacts:
    """Gather what the figure shows from a lineage's records and its survivors, the founder first."""
    points = {
        number: [(r.efficiency, r.test) for r in generation]
        for number, generation in enumerate(by_generation(records))
    }
    return FrontierFacts(
        points, [(r.efficiency, r.test) for r in survivors], survivors[0].test - tolerance
    )


def draw_frontier(facts: FrontierFacts, path: str | Path) -> None:
    """Draw fidelity against efficiency to a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 5), layout="constrained")
    colours = matplotlib.colormaps["viridis"]
    last = max(facts.points) or 1
    for generation, points in sorted(facts.points.items()):
        label = "founder" if generation == 0 else f"generation {generation}"
        axes.scatter(
            *zip(*points), color=colours(0.9 * generation / last), s=50, zorder=3, label=label
        )
    axes.plot(
        *zip(*facts.lineage), color="0.35", linewidth=1.2, zorder=2, label="lineage of the survivor"
    )
    axes.axhline(
        facts.tolerated,
        color="tab:red",
        linestyle=":",
        linewidth=1,
        label="founder less the tolerance",
    )
    axes.set_xscale("log")
    ticks = [
        tick
        for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
        if tick <= 1.5 * max(x for points in facts.points.values() for x, _ in points)
    ]
    axes.set_xticks(ticks, [f"{tick}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("architecture efficiency (founder's synapses / offspring's synapses)")
    axes.set_ylabel("test fidelity")
    axes.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside right upper")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
