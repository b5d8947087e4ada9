"""The figure of the study: fidelity against steps of recovery, stressed and not."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scipy import stats

from .analysis import of_table
from .plan import PILOT, STALE, SUBJECTS

# Arms that are drawn, with the color and the line of each. The colors are told apart by any vision.
DRAWN = {
    "none": ("#444444", "--", "no stress"),
    "synthesis first": ("#999999", ":", "synthesis first"),
    "narrow": ("#56b4e9", "-", "nested silence, narrow"),
    "middle": ("#0072b2", "-", "nested silence, middle"),
    "wide": ("#d55e00", "-", "nested silence, wide"),
    "survival": ("#009e73", "-", "survival"),
}
_NAMES = {"lenet5": "LeNet-5", "resnet20": "ResNet-20"}
_RESOURCES = {"parameters": "parameters", "macs": "MACs"}


class Point(NamedTuple):
    """Mean test fidelity in percent after one length of recovery, with its 95 % interval."""

    length: str
    mean: float
    margin: float


def curve(records: Sequence[Mapping[str, Any]], arm: str) -> list[Point]:
    """The curve of an arm, over the records of one network and budget.

    Examples
    --------
    >>> records = [{"arm": "none", "curve": {"0": {"test": value}}} for value in (0.5, 0.7)]
    >>> curve(records, "none")[0].mean
    60.0
    """
    own = [one for one in records if one["arm"] == arm]
    lengths = [name for name in own[0]["curve"] if name != STALE and "%" not in name]
    points = []
    for length in lengths:
        values = [100 * one["curve"][length]["test"] for one in own]
        error = statistics.stdev(values) / len(values) ** 0.5
        points.append(
            Point(
                length,
                statistics.mean(values),
                float(stats.t.ppf(0.975, len(values) - 1)) * error,
            )
        )
    return points


def draw(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw a panel for each network and budget.

    Parameters
    ----------
    records
        Of the study.
    path
        PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [
        (name, resource, of_table(records, name, resource))
        for name in PILOT
        for resource in SUBJECTS[name].budgets
    ]
    panels = [panel for panel in panels if panel[2]]
    rows = (len(panels) + 1) // 2
    figure, grid = pyplot.subplots(
        rows, 2, figsize=(11, 3.9 * rows), layout="constrained", squeeze=False
    )
    for axes, (name, resource, own) in zip(grid.flat, panels):
        for arm, (color, dashes, label) in DRAWN.items():
            if any(one["arm"] == arm for one in own):
                points = curve(own, arm)
                axes.errorbar(
                    range(len(points)),
                    [point.mean for point in points],
                    [point.margin for point in points],
                    color=color,
                    linestyle=dashes,
                    linewidth=1.8,
                    capsize=2.5,
                    label=label,
                )
        lengths = [point.length for point in curve(own, "none")]
        axes.set_xticks(range(len(lengths)), lengths)
        axes.set_title(
            f"{_NAMES[name]}, {SUBJECTS[name].budgets[resource]:g}x fewer {_RESOURCES[resource]}"
        )
        axes.set_xlabel("recovery (steps, epochs)")
        axes.set_ylabel("test accuracy, %")
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
