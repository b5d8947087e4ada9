"""Verdicts in words: one sentence for each axis, and a line that pools its budgets."""

from __future__ import annotations

from collections.abc import Sequence

from ...significance import LEVEL
from .facts import AXES
from .verdict import Claim, Judgement, Verdict

HOW = (
    "In points of test fidelity, with 95 % intervals. The rival of a budget is the one of NNI's "
    "and Torch-Pruning's pruners with the best mean validation fidelity. p is that of Welch's "
    "t-test over seeds, corrected for the budgets of the axis (Holm); claimed below "
    f"{LEVEL:g}. As the rival was picked among several, p of its lead is at least p times their "
    "number. The second line averages each seed over the budgets."
)


def sentence(found: Verdict) -> str:
    """Say what is claimed at which budgets, beginning with what speaks against the evolution."""
    clauses: list[str] = []
    for claim in found.claims:
        judged = [one for one in found.judgements if one.claim is claim]
        clauses.append(_clause(claim, judged, bool(clauses)))
    return f"{AXES[found.resource]}: {'; '.join(clauses)}."


def second_line(found: Verdict) -> str:
    """Say what holds over all budgets together; empty where there is one budget only."""
    pooled = found.pooled
    if pooled is None:
        return ""
    start = f"{_budgets(pooled)} together: "
    if pooled.effect is None or pooled.claim is Claim.UNKNOWN:
        return f"{start}too few records to judge."
    words = {
        Claim.AHEAD: "the evolution is ahead of the best rivals",
        Claim.BEHIND: "the evolution is behind the best rivals",
        Claim.OPEN: "a difference to the best rivals is not established",
    }[pooled.claim]
    return f"{start}{words} ({_size(pooled)})."


def _clause(claim: Claim, judged: Sequence[Judgement], is_later: bool) -> str:
    subject = "it" if is_later else "the evolution"
    if claim is Claim.UNKNOWN:
        return f"there are too few records to judge at {_and([_budgets(one) for one in judged])}"
    places = _and(_places(judged))
    if claim is Claim.BEHIND:
        return f"{subject} is behind {places}"
    if claim is Claim.AHEAD:
        return f"{subject} is ahead of the best rival {places}"
    return f"a difference to the best rival is not established {places}"


def _places(judged: Sequence[Judgement]) -> list[str]:
    """Budget, rival and size of each judgement; a rival is named once in a row."""
    places = []
    before = ""
    for one in judged:
        name = "" if one.rivals[0] == before else one.rivals[0]
        before = one.rivals[0]
        at = f"at {_budgets(one)}"
        if one.claim is Claim.BEHIND:
            places.append(f"{name} {at} ({_size(one)})".lstrip())
        else:
            word = "over" if one.claim is Claim.AHEAD else "against"
            places.append(f"{at} ({_size(one, f' {word} {name}' if name else '')})")
    return places


def _size(one: Judgement, over: str = "") -> str:
    effect = one.effect
    if effect is None or effect.low is None or effect.high is None or one.p is None:
        raise ValueError(f"a claim needs an effect, but got {one}")
    return (
        f"{points(effect.mean)} points{over}, 95 % interval {points(effect.low)} to "
        f"{points(effect.high)}, {chance(one.p)}"
    )


def _budgets(one: Judgement) -> str:
    return _and([f"{budget:g}x" for budget in one.budgets])


def points(share: float) -> str:
    """A difference of two shares in points, with its sign.

    Examples
    --------
    >>> points(0.0084), points(-0.00001)
    ('+0.84', '0.00')
    """
    text = f"{100 * share:+.2f}"
    return text[1:] if float(text) == 0 else text


def chance(p: float) -> str:
    """A p value in words.

    Examples
    --------
    >>> chance(0.0123), chance(0.0001)
    ('p 0.012', 'p < 0.001')
    """
    return f"p {p:.3f}" if p >= 0.001 else "p < 0.001"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
