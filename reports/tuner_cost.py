"""Measures what StressTuner itself costs: 10,000 trials under a simulated manager, and its import.

python -m reports.tuner_cost        # writes reports/results/tuner_cost.json; two to five minutes
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import psutil

from nni_stress import StressTuner
from nni_stress.utils.atomic_files import write_json

from .checkout import RESULTS
from .simulation import SimulatedManager

RESULT = RESULTS / "tuner_cost.json"
POPULATION = 20
# Ten hyperparameters, as a thorough user would vary them.
SPACE = {
    "environmental_factor": {"_type": "uniform", "_value": [0.999, 1.0]},
    "temperature": {"_type": "loguniform", "_value": [0.01, 0.3]},
    "candidates": {"_type": "choice", "_value": [1, 30, 100]},
    "stressor": {"_type": "choice", "_value": ["attenuate", "nested_silence", "silence", "weaken"]},
    "stress_peak": {"_type": "uniform", "_value": [0, 1]},
    "stress_ramp": {"_type": "uniform", "_value": [0.2, 0.9]},
    "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.004]},
    "recovery_epochs": {"_type": "quniform", "_value": [2, 10, 2]},
    "early_worth": {"_type": "lognormal", "_value": [0, 1]},
    "late_worth": {"_type": "lognormal", "_value": [0, 1]},
}


class ForgettingManager(SimulatedManager):
    """Forgets jobs that ended long ago: NNI's manager keeps them on disk, not in memory."""

    def send(self, credit, parameters):
        """Take parameters, submit a job for them, and forget all but the last 200 jobs."""
        super().send(credit, parameters)
        for old in list(self.statuses)[:-200]:
            del self.submitted[old], self.statuses[old]
            self.trained.clear()


def measure(trials: int) -> list[dict[str, Any]]:
    """Measure suggestions as the history grows.

    Returns
    -------
    list
        For every 25 generations: trials so far, milliseconds of a suggestion, memory of the process
        in MiB.
    """
    measured: list[dict[str, Any]] = []
    process = psutil.Process()

    def add(known: int, seconds: float) -> None:
        measured.append(
            {
                "trials": known,
                "milliseconds_a_suggestion": round(1000 * seconds, 2),
                "memory_megabytes": round(process.memory_info().rss / 2**20, 1),
            }
        )
        print(measured[-1], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        tuner = StressTuner(
            population_size=POPULATION,
            generations=trials // POPULATION,
            tolerance=1e6,
            patience=10**6,
            seed=0,
            folder=folder,
        )
        search = tuner._search  # noqa: SLF001, the only place where suggestions alone can be timed
        search.suggestions = _timed(search.suggestions, add)
        run(tuner)
    return measured


def _timed(
    suggest: Callable[..., list[Any]], add: Callable[[int, float], None]
) -> Callable[..., list[Any]]:
    """Call `add` with the history's length and seconds a suggestion, at every 25th call."""
    calls = 0

    def timed(space: Any, observations: Any, number: int, seed: int) -> list[Any]:
        nonlocal calls
        start = time.perf_counter()
        found = suggest(space, observations, number, seed)
        calls += 1
        if calls % 25 == 0:
            add(len(observations), (time.perf_counter() - start) / len(found))
        return found

    return timed


def run(tuner: StressTuner) -> None:
    """Run a tuner to its end, ten trials at a time that take no time; RuntimeError if it fails."""
    manager = ForgettingManager(tuner, concurrency=10)
    manager.space = SPACE
    manager.run(seconds=10**9)
    if manager.error:
        raise RuntimeError(manager.error)


def import_seconds() -> float:
    """Return the median seconds that a Python process takes to import StressTuner, of five."""

    def start(script: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True)
        return time.perf_counter() - began

    imported = "import nni_stress; nni_stress.StressTuner"
    return round(statistics.median(start(imported) - start("") for _ in range(5)), 2)


def main() -> None:
    """Run ``python -m reports.tuner_cost``: write and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    options = parser.parse_args()
    seconds = import_seconds()
    print(f"import: {seconds} s")
    write_json(
        RESULT,
        {
            "import_seconds": seconds,
            "population": POPULATION,
            "hyperparameters": len(SPACE),
            "history": measure(options.trials),
        },
    )


if __name__ == "__main__":
    main()
