"""How tuner and reports grow with what is on record."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from nni_stress import StressTuner
from nni_stress.visualization.html_page import page
from nni_stress.visualization.snapshot import overview
from nni_stress.visualization.text import status_text

from ..collect import collect
from ..compare import compare
from ..page import write_report
from ..synthetic_contest import plant
from ..tuner_cost import SPACE, Watched

_NUMBERS = (10, 100, 1_000, 10_000)
_POPULATION = 10


def records() -> dict:
    """Milliseconds for each record: of the tuner with its barrier and lineage, of `status --html`, of a contest's report."""
    return {
        f"{number:,} records": dict(
            zip(
                ("tuner_ms", "status_ms", "contest_report_ms"),
                (
                    round(1000 * seconds / number, 2)
                    for seconds in (*_lineage(number), _contest(number))
                ),
            )
        )
        for number in _NUMBERS
    }


def _lineage(number: int) -> tuple[float, float]:
    """Seconds to evolve so many offspring under a simulated manager, trials taking no time, and to show them."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        manager = Watched(
            StressTuner(
                population_size=_POPULATION,
                generations=number // _POPULATION,
                tolerance=1e6,
                patience=10**6,
                seed=0,
                folder=folder,
            ),
            concurrency=10,
        )
        manager.space = SPACE
        manager.run(seconds=10**9)
        if manager.error:
            raise RuntimeError(manager.error)
        evolved = time.perf_counter()
        facts = overview(Path(folder))
        status_text(facts), page(facts)
        return evolved - began, time.perf_counter() - evolved


def _contest(number: int) -> float:
    """Seconds to report on a contest of so many cells: five methods, two budgets, and as many seeds as it takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = plant(Path(name) / "contest", seeds=tuple(range(number // 10)))
        began = time.perf_counter()
        write_report(compare(collect(folder)), folder)
        return time.perf_counter() - began
