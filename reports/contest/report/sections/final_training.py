"""Section: whether a longer final training would help."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ..facts import Comparison, Entry
from ..fields import axis_table
from ..sentences import points
from ..tables import MISSING, Block, Field


def block(facts: Comparison) -> Block:
    """Make the tables: gain of the second half of the final training, and the best epoch."""
    return Block(
        "What the final training still gains",
        "Best validation fidelity of the final training less the best of its first half, in "
        "points, mean over seeds: what is near 0 would gain little by twice as many epochs. Below: "
        "the epoch that was kept, median over seeds.",
        [axis_table(facts, axis, lambda entry: [_field(entry)]) for axis in facts.axes],
        is_folded=True,
    )


def _field(entry: Entry) -> Field:
    curves = [record.curve for record in entry.records.values() if len(record.curve) > 1]
    if not curves:
        return Field(MISSING)
    gain = statistics.fmean(second_half_gain(curve) for curve in curves)
    kept = statistics.median(curve.index(max(curve)) for curve in curves)
    length = statistics.median(len(curve) - 1 for curve in curves)
    return Field(points(gain), f"epoch {kept:g} of {length:g}")


def second_half_gain(curve: Sequence[float]) -> float:
    """By how much the best of a curve is above the best of its first half.

    Examples
    --------
    >>> round(second_half_gain([0.5, 0.8, 0.85, 0.86, 0.84]), 6)
    0.01
    """
    middle = (len(curve) - 1) // 2
    return max(curve) - max(curve[: middle + 1])
