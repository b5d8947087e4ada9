"""What may become of an offspring, by what became of others. Pure functions over records; no torch, no NNI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from ..lineage.store import FOUNDER, Record
from .selection import Rules, mean_used, select

CHECKS = 4  # so many times, evenly spread over the recovery, the validation fidelity is taken; and once before it
SLACK = 0.95  # an offspring may come out smaller than its environment asks, as clusters are whole, but not by so much
_ENOUGH = 3  # recoveries to have seen before one may be called hopeless for what it cannot reach


class Prospect(NamedTuple):
    """Validation fidelity at the end of the recovery."""

    likely: float
    best: float


def prospect(curve: Sequence[float], others: Sequence[Record], tolerance: float) -> Prospect:
    """What an offspring may reach.

    What is still to be gained is the way to the best fidelity ever seen, and a tolerance beyond. The share of that way
    that others went from the same point on tells the rest: their median is likely; half of what even the quickest of them
    left is conceded as the best.

    Parameters
    ----------
    curve
        Its validation fidelity so far: before the recovery, and at each of the checks it has passed.
    others
        Records of the lineage, the founder's among them.
    tolerance
        In the unit of fidelity.
    """
    at, now = len(curve) - 1, curve[-1]
    highest = max([now, *(other.validation for other in others)]) + tolerance
    whole = [other.curve for other in _recovered(others) if other.curve[at] < highest]
    shares = [min(1.0, max(0.0, (one[-1] - one[at]) / (highest - one[at]))) for one in whole]
    quickest = (1 + max(shares)) / 2 if len(shares) >= _ENOUGH else 1.0
    return Prospect(
        now + (highest - now) * (median(shares) if shares else 0.0),
        now + (highest - now) * quickest,
    )


def usual(offspring: Record, others: Sequence[Record]) -> float:
    """Validation fidelity to be expected before anything is known of an offspring but its ancestor, which is among the others.

    The ancestor's, changed as in the median of those that were not ended early.
    """
    known = {other.uid: other.validation for other in others}
    changes = [
        other.validation - known[other.ancestor]
        for other in _recovered(others)
        if other.ancestor in known
    ]
    return known[offspring.ancestor] + (median(changes) if changes else 0.0)


def _recovered(others: Sequence[Record]) -> list[Record]:
    return [other for other in others if len(other.curve) == CHECKS + 1]


def hopeless(offspring: Record, best: float, others: Sequence[Record], rules: Rules) -> bool:
    """Whether an offspring cannot survive, even if it reached its best.

    Parameters
    ----------
    offspring
        Its record as far as it is known.
    best
        The most that its validation fidelity may become.
    others
        Records of the lineage; of its own generation, those that have ended.
    rules
        The rules of the evolution.
    """
    known = {other.uid: other for other in others}
    rivals = [
        other
        for other in others
        if other.generation == offspring.generation and other.uid != offspring.uid
    ]
    ancestors = {one.ancestor for one in (offspring, *rivals)}
    if FOUNDER not in known or not ancestors <= set(known):
        return False
    perfect = offspring._replace(validation=best)
    return perfect not in select(
        [perfect, *rivals], [known[uid] for uid in ancestors], known[FOUNDER], rules
    )


def smallest_first(
    offspring: Sequence[dict], known: Mapping[str, Record], rules: Rules
) -> list[dict]:
    """The order in which offspring should train: once one is faithful, those after it hardly can survive.

    Parameters
    ----------
    offspring
        Parameters of a generation's trials.
    known
        Records of their ancestors and of the founder, by name.
    rules
        The rules of the evolution.
    """

    def uses(parameters: dict) -> float:
        ancestors = [
            known[uid] for uid in (parameters["ancestor"], parameters["other"]) if uid is not None
        ]
        return parameters["arguments"]["environmental_factor"] * mean_used(
            ancestors, known[FOUNDER], rules.resource
        )

    return sorted(offspring, key=uses)
