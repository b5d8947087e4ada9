"""The verdict of a contest in words: one sentence, and a line for each budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .contest import ABLATIONS, EVOLUTION, UNSTRUCTURED, Contest, pruner_of
from .significance import LEVEL, Interval, corrected

if TYPE_CHECKING:
    from .compare import Entry

    Entries = Mapping[tuple[str, float], Entry]


def verdict(contest: Contest, entries: Entries) -> tuple[str, list[str]]:
    """Judge the evolution against the best of NNI's own pruners at each budget.

    Parameters
    ----------
    contest
        The contest.
    entries
        {(method, budget): entry}.

    Returns
    -------
    tuple
        One sentence, and a line for each budget.
    """
    if EVOLUTION not in contest.methods:
        return "This contest has no evolution to judge.", []
    claims = _Claims()
    gains, details = [], []
    p_values = beaten(entries, contest.budgets)
    for budget in contest.budgets:
        own, best = entries[EVOLUTION, budget], rival(entries, budget)
        if own.test is None or best is None or best.test is None or best.against is None:
            claims.unknown.append(f"{budget:g}x")
            details.append(
                f"{budget:g}x: no verdict yet: there are no pairs of records to compare."
            )
            continue
        p = p_values[budget]
        claims.add(budget, best, p is not None and p < LEVEL)
        gains.append(100 * best.against.mean)
        details.append(
            f"{budget:g}x: evolution {_points(own.test)}, best of NNI's own {best.method} "
            f"{_points(best.test)}; {100 * best.against.mean:+.2f} points over "
            f"{seeds_in_words(best.against.pairs)}{_chance(p if best.against.mean > 0 else best.p)}"
            f"{_best_structured(entries, budget, best)}."
        )
    return claims.sentence(gains, len(contest.seeds)), details


class _Claims:
    """Collects what can be claimed at which budgets."""

    def __init__(self) -> None:
        self.better: list[str] = []
        self.worse: dict[str, list[str]] = {}  # {name of the pruner: budgets}
        self.no_difference: list[str] = []
        self.unknown: list[str] = []

    def add(self, budget: float, best: Entry, is_won: bool) -> None:
        """Add a budget, of which `best` is the best pruner of NNI."""
        written = f"{budget:g}x"
        if best.claim == "worse":
            size = ", whose network keeps its size," if _is_unstructured(best) else ""
            self.worse.setdefault(f"{best.method}{size}", []).append(written)
        elif is_won:
            self.better.append(written)
        elif best.claim:
            self.no_difference.append(written)
        else:
            self.unknown.append(written)

    def sentence(self, gains: Sequence[float], seeds: int) -> str:
        """Say all claims in one sentence."""
        parts = []
        if self.better:
            budgets = _and(self.better)
            parts.append(f"the evolution beats the best of NNI's own pruners at {budgets}")
        if self.worse:
            losses = [f"to {name} at {_and(budgets)}" for name, budgets in self.worse.items()]
            parts.append(f"{'it ' if parts else 'the evolution '}loses {_and(losses)}")
        if self.no_difference:
            words = "" if parts else "from the best of NNI's own pruners "
            budgets = _and(self.no_difference)
            parts.append(f"at {budgets} the difference {words}is within noise")
        if self.unknown:
            parts.append(f"at {_and(self.unknown)} there are too few records to judge")
        sentence = "; ".join(parts)
        if gains:
            sentence += (
                f" (mean differences {', '.join(f'{gain:+.2f}' for gain in gains)} points of test "
                f"fidelity; claims at p < {LEVEL:g}, paired over {seeds_in_words(seeds)}, "
                "corrected for their number)"
            )
        return sentence[0].upper() + sentence[1:] + "."


def seeds_in_words(number: int) -> str:
    """Write a number of seeds.

    Examples
    --------
    >>> seeds_in_words(1), seeds_in_words(5)
    ('1 seed', '5 seeds')
    """
    return f"{number} seed{'' if number == 1 else 's'}"


def rival(entries: Entries, budget: float, structured: bool = False) -> Entry | None:
    """Return NNI's pruner of the highest median test fidelity at a budget.

    Parameters
    ----------
    entries
        {(method, budget): entry}.
    budget
        Which.
    structured
        Whether only pruners count that make the network small.

    Returns
    -------
    Entry or None
        None where no pruner has an outcome.
    """
    found = [
        (entry.test.median, entry)
        for entry in entries.values()
        if entry.budget == budget
        and entry.method not in ABLATIONS
        and entry.test is not None
        and not (structured and _is_unstructured(entry))
    ]
    return max(found, key=lambda candidate: candidate[0])[1] if found else None


def _is_unstructured(entry: Entry) -> bool:
    return pruner_of(entry.method) in UNSTRUCTURED


def beaten(entries: Entries, budgets: Sequence[float]) -> dict[float, float | None]:
    """Return for each budget p of the evolution being better than all of NNI's own pruners.

    To beat the best is to beat each: the largest of the pruners' p values is that of the whole
    (an intersection-union test, Berger 1982), without correction for their number. It is corrected
    for the number of budgets.

    Parameters
    ----------
    entries
        {(method, budget): entry}.
    budgets
        Which.

    Returns
    -------
    dict
        {budget: p}; None where nothing is compared.
    """
    largest: list[float | None] = []
    for budget in budgets:
        differences = [
            entry.against
            for entry in entries.values()
            if entry.budget == budget and entry.method not in ABLATIONS
        ]
        p_values = [
            1.0 if found.mean <= 0 else found.p
            for found in differences
            if found is not None and found.p is not None
        ]
        largest.append(max(p_values, default=None))
    return dict(zip(budgets, corrected(largest)))


def _best_structured(entries: Entries, budget: float, best: Entry) -> str:
    """Name the best pruner that makes the network small, where the best of all does not."""
    if not _is_unstructured(best):
        return ""
    small = rival(entries, budget, structured=True)
    if small is None or small.test is None or small.against is None:
        return ""
    return (
        f"; of those that make the network small, {small.method} {_points(small.test)}; "
        f"{100 * small.against.mean:+.2f} points{_chance(small.p)}"
    )


def _chance(p: float | None) -> str:
    if p is None:
        return ""
    return f", p {p:.3f}" if p >= 0.001 else ", p < 0.001"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _points(found: Interval) -> str:
    bounds = ""
    if found.low is not None and found.high is not None:
        bounds = f" [{100 * found.low:.2f}, {100 * found.high:.2f}]"
    return f"{100 * found.median:.2f} %{bounds}"
