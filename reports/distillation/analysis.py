"""What the records of distillation say: gains over plain training, and their cost in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..contest.report.facts import LESS
from ..markdown import markdown_table
from ..significance import difference


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """Gains over plain training in points, with p of the paired t-test, and CPU time in its terms.

    Examples
    --------
    >>> ways = {"plain": 0.5, "distilled": 0.75, "longer": 0.625}
    >>> cell = {way: {"validation": x, "test": x, "seconds": x} for way, x in ways.items()}
    >>> cell |= {"resource": "macs", "budget": 10, "founder": 1, "seed": 1}
    >>> print(table([cell]))
    | budget | pairs | training | validation | test | time |
    |---|---|---|---|---|---|
    | 10x fewer MACs | 1 | distilled | +25.00 | +25.00 | 1.5x |
    | | | longer | +12.50 | +12.50 | 1.2x |
    """
    budgets: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        name = f"{record['budget']:g}x {LESS[record['resource']]}"
        budgets.setdefault(name, []).append(record)
    rows = []
    for budget, found in budgets.items():
        place = [budget, str(len(found))]
        for way in ("distilled", "longer"):
            gains = [_gain(found, way, split) for split in ("validation", "test")]
            rows.append([*place, way, *gains, _time(found, way)])
            place = ["", ""]
    return markdown_table(["budget", "pairs", "training", "validation", "test", "time"], rows)


def _time(records: Sequence[Mapping[str, Any]], way: str) -> str:
    own, plain = (sum(record[one]["seconds"] for record in records) for one in (way, "plain"))
    return f"{own / plain:.1f}x"


def _gain(records: Sequence[Mapping[str, Any]], way: str, split: str) -> str:
    first, second = (dict(enumerate(r[one][split] for r in records)) for one in (way, "plain"))
    found = difference(first, second)
    assert found is not None  # there is a record
    certain = "" if found.p is None else f" (p {found.p:.3f})"
    return f"{100 * found.mean:+.2f}{certain}"
