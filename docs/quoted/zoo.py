"""What became of the networks of the zoo, from the record of `make zoo` as far as there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from reports.markdown import markdown_table
from reports.zoo.networks import NETWORKS
from reports.zoo.structures import STRUCTURES
from reports.zoo.tools import SHARE

from .records import RESULTS, fixed, percent, record

REACHED = 0.03  # how far from half of the MACs, as a part of it, still counts as half
ALIKE = 1e-4  # how much the small network may differ
FAST = 5  # seconds
_LETTERS = 60  # of an error in the table
_NOT_MEASURED = {"ok": False, "error": "not measured"}
_NO_RECORD = "There is no record yet: `make zoo` writes it."
_PATH = RESULTS / "zoo.json"

Found = dict[str, Any]


def networks() -> str:
    """What is left of every network, by tool."""
    if not _PATH.exists():
        return _NO_RECORD
    return markdown_table(
        [
            "network",
            *("MACs left", "parameters left", "difference", "time"),
            *("by ratio: MACs left", "difference"),
            "Torch-Pruning: MACs left",
        ],
        (
            [f"`{name}`", *_budget(name, "macs", "parameters"), *_ratio(name), _other(name)]
            for name in NETWORKS
        ),
    )


def structures() -> str:
    """What is left of every structure, by budget and by ratio."""
    if not _PATH.exists():
        return _NO_RECORD
    return markdown_table(
        [
            "structure",
            *("parameters left", "MACs left", "difference", "time"),
            *("by ratio: MACs left", "difference"),
        ],
        ([name, *_budget(name, "parameters", "macs"), *_ratio(name)] for name in STRUCTURES),
    )


def summary() -> str:
    """How many networks and structures are as they should be."""
    if not _PATH.exists():
        return _NO_RECORD
    budget = [_found(name, "budget") for name in NETWORKS]
    ratio = [_found(name, "ratio") for name in NETWORKS]
    other = [_found(name, "torch-pruning") for name in NETWORKS]
    known = len(NETWORKS) - budget.count(_NOT_MEASURED)
    parts = [
        f"Of {len(NETWORKS)} networks, {known} were measured. Under a budget "
        f"{_count(budget, _followed)} are followed, {_count(budget, _reaches)} reach half of the "
        f"MACs within {percent(REACHED)} %, {_count(budget, _alike)} differ from the masked "
        f"network by at most {ALIKE:.0e}, and {_count(budget, _fast)} take at most {FAST} s.",
        f"By ratios, {_count(ratio, _smaller)} become smaller and {_count(ratio, _alike)} differ "
        f"by at most {ALIKE:.0e}.",
        f"Torch-Pruning returns a network that runs for {_count(other, _runs)}.",
        f"Of the {len(STRUCTURES)} structures, {_right('budget')} are right under a budget and "
        f"{_right('ratio')} by ratios.",
        "[zoo.json](../../reports/results/zoo.json) names commit, machine and versions.",
    ]
    return "\n".join(parts)


def _found(name: str, tool: str) -> Found:
    return record("zoo")["networks"].get(name, {}).get(tool, _NOT_MEASURED)


def _budget(name: str, first: str, second: str) -> list[str]:
    found = _found(name, "budget")
    if not found["ok"]:
        return [_words(found["error"]), "-", "-", "-"]
    return [
        f"{percent(found[first], 1)} %",
        f"{percent(found[second], 1)} %",
        _difference(found),
        f"{fixed(found['seconds'], 1)} s",
    ]


def _ratio(name: str) -> list[str]:
    found = _found(name, "ratio")
    if not found["ok"]:
        return [_words(found["error"]), "-"]
    return [f"{percent(found['macs'], 1)} %", _difference(found)]


def _other(name: str) -> str:
    found = _found(name, "torch-pruning")
    return f"{percent(found['macs'], 1)} %" if found["ok"] else _words(found["error"])


def _difference(found: Found) -> str:
    return "0" if found["difference"] == 0 else f"{found['difference']:.0e}"


def _words(error: str) -> str:
    """The beginning of an error, as one cell of a table."""
    error = " ".join(error.replace("|", "/").replace("<", "(").replace(">", ")").split())
    error = error.replace("`", "'").replace("*", r"\*").replace("_", r"\_").replace("[", r"\[")
    return error if len(error) <= _LETTERS else f"{error[:_LETTERS].rpartition(' ')[0]} ..."


def _count(all_found: Iterable[Found], holds: Callable[[Found], bool]) -> int:
    return sum(map(holds, all_found))


def _followed(found: Found) -> bool:
    return bool(found.get("followed"))


def _runs(found: Found) -> bool:
    return bool(found["ok"])


def _reaches(found: Found) -> bool:
    return _runs(found) and abs(found["macs"] / SHARE - 1) <= REACHED


def _alike(found: Found) -> bool:
    return _runs(found) and found["difference"] <= ALIKE


def _fast(found: Found) -> bool:
    return _runs(found) and found["seconds"] <= FAST


def _smaller(found: Found) -> bool:
    return _runs(found) and found["parameters"] < 1


def _right(tool: str) -> int:
    """Structures whose small network is right: smaller, the same output, for other batches, too.

    Under a budget of half of the parameters, a third of them must be gone at least.
    """
    most = 2 / 3 if tool == "budget" else 1.0
    return _count(
        (_found(name, tool) for name in STRUCTURES),
        lambda found: (
            _alike(found) and found["parameters"] < most and found["other_batch"] is not False
        ),
    )
