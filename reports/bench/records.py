"""How the costs of tuner and reports grow with the number of records."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from nni_stress import StressTuner
from nni_stress.visualization.html_page import page
from nni_stress.visualization.snapshot import overview
from nni_stress.visualization.text import status_text

from ..contest.plan import EVOLUTION, RIVALS
from ..contest.planted import Truth, plant
from ..contest.records import collect
from ..contest.report.facts import compare
from ..contest.report.page import write_report
from ..tuner_cost import run

_NUMBERS = (10, 100, 1_000, 10_000)
_POPULATION = 10


def records() -> dict[str, Any]:
    """Measure milliseconds for each record.

    Of the tuner with its barrier and lineage, of ``status --html``, and of a contest's report.
    """
    found = {}
    for number in _NUMBERS:
        tuner, status = _lineage_seconds(number)
        seconds = {
            "tuner_ms": tuner,
            "status_ms": status,
            "contest_report_ms": _contest_seconds(number),
        }
        found[f"{number:,} records"] = {
            name: round(1000 * value / number, 2) for name, value in seconds.items()
        }
    return found


def _lineage_seconds(number: int) -> tuple[float, float]:
    """Return seconds to evolve and to show a number of offspring, whose trials take no time."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        tuner = StressTuner(
            population_size=_POPULATION,
            generations=number // _POPULATION,
            tolerance=1e6,
            patience=10**6,
            seed=0,
            folder=folder,
        )
        run(tuner)
        evolved = time.perf_counter()
        facts = overview(Path(folder))
        status_text(facts)
        page(facts)
        return evolved - start, time.perf_counter() - evolved


def _contest_seconds(number: int) -> float:
    """Return seconds to report on a number of cells: five methods, two budgets, many seeds."""
    truth = Truth(methods=(EVOLUTION, *RIVALS[:4]), seeds=range(number // 10), founders=(1,))
    with tempfile.TemporaryDirectory() as parent:
        folder = plant(Path(parent) / "contest", truth)
        start = time.perf_counter()
        write_report(compare(collect(folder)), folder)
        return time.perf_counter() - start
