"""The records, each read once; and how figures are written."""

from __future__ import annotations

import functools
import json
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "reports" / "results"


@functools.cache
def record(name: str) -> Any:
    """A JSON file below reports/results, named without its ending."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def bench(part: str) -> Any:
    """One part of the benchmark."""
    return record("bench")[part]


def text(name: str) -> str:
    """A text file below reports/results."""
    return (RESULTS / name).read_text(encoding="utf-8").rstrip("\n")


def fixed(value: float, digits: int = 0) -> str:
    """A figure with so many decimals, halves rounded up as readers expect it."""
    exact = Decimal(repr(round(value, 9)))
    return str(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def percent(share: float, digits: int = 0) -> str:
    """A share in percent, without the sign."""
    return fixed(100 * share, digits)
