"""What an offspring may still achieve, judged by what others achieved: pure functions over records.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from ..lineage.record import Record
from ..lineage.trial_spec import TrialSpec
from ..lineage.uid import FOUNDER
from .contender import Candidate, Contender
from .environment import mean_used
from .rules import Rules
from .selection import select

# Number of validation checks during recovery, evenly spaced; there is one more before it.
CHECKS = 4

# An offspring may come out smaller than its environmental factor asks, because clusters are whole,
# but hardly by more than this factor.
SLACK = 0.95

# Number of complete recoveries without which nothing is said to be out of reach.
_ENOUGH = 3


class Forecast(NamedTuple):
    """Validation fidelity (accuracy or mAP) at the end of a recovery: likely, and at best.

    Examples
    --------
    >>> Forecast(likely=0.85, best=0.9).best
    0.9
    """

    likely: float
    best: float


def forecast(curve: Sequence[float], others: Sequence[Record], tolerance: float) -> Forecast:
    """Forecast the validation fidelity at the end of a recovery.

    Headroom: best fidelity so far in the lineage + tolerance - current fidelity. The likely gain is
    the median share of their headroom that others gained from the same check on. The best gain
    concedes in addition half of what the quickest of them left.

    Parameters
    ----------
    curve
        Validation fidelity before the recovery, and at each check so far.
    others
        Records of the lineage, the founder's among them.
    tolerance
        In the unit of fidelity.

    Examples
    --------
    >>> forecast([0.3], [], tolerance=0.1)
    Forecast(likely=0.3, best=0.4)
    """
    check = len(curve) - 1
    current = curve[-1]
    highest = max([current, *(other.validation for other in others)]) + tolerance
    shares = [
        min(1.0, max(0.0, (other.curve[-1] - other.curve[check]) / (highest - other.curve[check])))
        for other in _fully_recovered(others)
        if other.curve[check] < highest
    ]
    best_share = (1 + max(shares)) / 2 if len(shares) >= _ENOUGH else 1.0
    return Forecast(
        current + (highest - current) * (median(shares) if shares else 0.0),
        current + (highest - current) * best_share,
    )


def expected_validation(ancestor: str, others: Sequence[Record]) -> float:
    """Validation fidelity to expect of an offspring before it exists.

    Fidelity of its ancestor, plus the median change from ancestor to offspring among the offspring
    that recovered completely.

    Parameters
    ----------
    ancestor
        Name of the ancestor.
    others
        Records of the lineage, the ancestor's among them.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> curve = [0.3, 0.6, 0.8, 0.87, 0.88]  # of a complete recovery
    >>> child = founder._replace(uid="g001-00", ancestor="g000-00", validation=0.88, curve=curve)
    >>> round(expected_validation("g001-00", [founder, child]), 4)
    0.86
    """
    known = {other.uid: other.validation for other in others}
    changes = [
        other.validation - known[other.ancestor]
        for other in _fully_recovered(others)
        if other.ancestor is not None and other.ancestor in known
    ]
    return known[ancestor] + (median(changes) if changes else 0.0)


def _fully_recovered(others: Sequence[Record]) -> list[Record]:
    return [other for other in others if len(other.curve) == CHECKS + 1 and not other.matured]


def cannot_survive(offspring: Candidate, others: Sequence[Record], rules: Rules) -> bool:
    """Whether an offspring cannot be selected, even if it reaches its best fidelity.

    Parameters
    ----------
    offspring
        The offspring, with an upper bound of its validation fidelity.
    others
        Records of the lineage; of its own generation, those that have ended.
    rules
        The rules of the evolution.

    Returns
    -------
    bool
        False also if the records of the founder or of an ancestor are missing.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> at_best = Candidate("g001-00", 1, "g000-00", 0.88, 250, 2500)
    >>> cannot_survive(at_best, [founder], Rules(4, tolerance=0.01))
    True
    """
    known = {other.uid: other for other in others}
    rivals = [
        other
        for other in others
        if other.generation == offspring.generation and other.uid != offspring.uid
    ]
    ancestors = {offspring.ancestor, *(rival.ancestor for rival in rivals)}
    if FOUNDER not in known or not all(uid in known for uid in ancestors):
        return False
    contenders: list[Contender] = [offspring, *rivals]
    chosen = select(
        contenders,
        [known[uid] for uid in ancestors if uid is not None],
        known[FOUNDER],
        rules,
    )
    return offspring not in chosen


def smallest_first(
    offspring: Sequence[TrialSpec], known: Mapping[str, Record], rules: Rules
) -> list[TrialSpec]:
    """Order a generation's offspring by the resource that they may use, the smallest first.

    Once a small offspring is faithful, larger ones hardly can survive, and need no training.

    Parameters
    ----------
    offspring
        Specs of a generation's trials.
    known
        Records of their ancestors and of the founder, by name.
    rules
        The rules of the evolution.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> large = TrialSpec("g001-00", 1, FOUNDER, None, 0, {"environmental_factor": 0.5})
    >>> small = TrialSpec("g001-01", 1, FOUNDER, None, 0, {"environmental_factor": 0.2})
    >>> [spec.uid for spec in smallest_first([large, small], {FOUNDER: founder}, Rules(4, 0.01))]
    ['g001-01', 'g001-00']
    """

    def uses(spec: TrialSpec) -> float:
        ancestors = [known[uid] for uid in spec.ancestors]
        share = mean_used(ancestors, known[FOUNDER], rules.resource)
        return float(spec.arguments["environmental_factor"]) * share

    return sorted(offspring, key=uses)
