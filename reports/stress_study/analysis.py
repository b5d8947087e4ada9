"""Tables of the study: means, and differences to training without stress, pair by pair."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy import stats

from ..markdown import markdown_table
from ..significance import corrected
from .plan import ARMS, PILOT, RATES

REFERENCE = "none"
JUDGED = ("0", "100", "4 epochs")  # lengths of recovery at which the claim is judged
_CONFIDENCE = 0.95

Record = Mapping[str, Any]


class Difference(NamedTuple):
    """Mean difference between two arms over founders and seeds, in points.

    Parameters
    ----------
    mean
        The mean.
    margin
        Half the width of its 95 % interval, by Student's t.
    pairs
        Number of pairs.
    p
        Of a paired t-test.
    """

    mean: float
    margin: float
    pairs: int
    p: float


def points_of(records: Sequence[Record]) -> list[str]:
    """The lengths of recovery in all records, in order."""
    return list(dict.fromkeys(point for record in records for point in record["curve"]))


def of_table(records: Sequence[Record], subject: str, resource: str) -> list[Record]:
    """The records of one network and one budget."""
    return [one for one in records if (one["subject"], one["resource"]) == (subject, resource)]


def mean(records: Sequence[Record], arm: str, point: str, split: str) -> float:
    """Mean fidelity of an arm, in percent."""
    return statistics.mean(100 * one["curve"][point][split] for one in _of(records, arm).values())


def difference(records: Sequence[Record], arm: str, point: str, split: str) -> Difference | None:
    """An arm minus training without stress, pair by pair; None for fewer than two pairs.

    Parameters
    ----------
    records
        Those of one network and one budget.
    arm
        The arm.
    point
        Length of recovery.
    split
        ``"validation"`` or ``"test"``.

    Examples
    --------
    >>> records = [
    ...     {"arm": arm, "founder": 1, "seed": seed, "curve": {"0": {"test": accuracy}}}
    ...     for seed in (1, 2)
    ...     for arm, accuracy in (("none", 0.5), ("wide", 0.6 + seed / 100))
    ... ]
    >>> round(difference(records, "wide", "0", "test").mean, 2)
    11.5
    """
    own, reference = _of(records, arm), _of(records, REFERENCE)
    gains = [
        100 * (own[pair]["curve"][point][split] - reference[pair]["curve"][point][split])
        for pair in sorted(set(own) & set(reference))
    ]
    if len(gains) < 2 or arm == REFERENCE:
        return None
    test = stats.ttest_1samp(gains, 0)
    interval = test.confidence_interval(_CONFIDENCE)
    return Difference(
        statistics.mean(gains), (interval.high - interval.low) / 2, len(gains), float(test.pvalue)
    )


def _of(records: Sequence[Record], arm: str) -> dict[tuple[int, int], Record]:
    return {(one["founder"], one["seed"]): one for one in records if one["arm"] == arm}


def table(records: Sequence[Record], subject: str, resource: str) -> str:
    """A Markdown table of one network and one budget, on test data.

    Each cell has the mean, and in parentheses the difference to no stress with its 95 % interval.
    """
    own = of_table(records, subject, resource)
    points = points_of(own)
    rows = [
        [arm, str(len(_of(own, arm))), *(_shown(own, arm, point) for point in points)]
        for arm in ARMS
        if _of(own, arm)
    ]
    return markdown_table(["arm", "pairs", *points], rows)


def _shown(records: Sequence[Record], arm: str, point: str) -> str:
    found = difference(records, arm, point, "test")
    text = f"{mean(records, arm, point, 'test'):.1f}"
    return text if found is None else f"{text} ({found.mean:+.1f} ± {found.margin:.1f})"


def judged(records: Sequence[Record], point: str) -> dict[tuple[str, str, str], Difference]:
    """Differences to no stress in test fidelity at one length, p values corrected by Holm.

    Parameters
    ----------
    records
        Of all networks; those with a table of three seeds only are left out.
    point
        Length of recovery.

    Returns
    -------
    dict
        {(network, resource, arm): difference}.
    """
    found = {}
    for subject in PILOT:
        for resource in sorted({one["resource"] for one in records if one["subject"] == subject}):
            own = of_table(records, subject, resource)
            for arm in ARMS:
                gain = difference(own, arm, point, "test") if _of(own, arm) else None
                if gain is not None:
                    found[subject, resource, arm] = gain
    p_values = corrected([gain.p for gain in found.values()])
    return {
        key: gain._replace(p=p) for (key, gain), p in zip(found.items(), p_values) if p is not None
    }


def best_arm(records: Sequence[Record], arms: Sequence[str], points: Sequence[str]) -> str:
    """The arm of the highest mean validation gain over no stress, as the protocol has it.

    Every network, budget and length of recovery counts the same.
    """
    tables = {(one["subject"], one["resource"]) for one in records if one["subject"] in PILOT}

    def gain(arm: str) -> float:
        found = [
            difference(of_table(records, *key), arm, point, "validation")
            for key in tables
            for point in points
        ]
        return statistics.mean(one.mean if one else 0.0 for one in found)

    return max(arms, key=gain)


def best_rate(records: Sequence[Record], points: Sequence[str]) -> float:
    """The learning rate of the highest mean validation fidelity in the pilot of one network."""

    def fidelity(rate: float) -> float:
        return statistics.mean(
            one["curves"][f"{rate:g}"][point]["validation"] for one in records for point in points
        )

    return max(RATES, key=fidelity)
