"""What StressTuner itself costs: 10,000 trials under a simulated manager, and its import.

python -m reports.tuner_cost        # writes reports/results/tuner_cost.json; two to five minutes
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from nni_stress import StressTuner
from nni_stress.utils.atomic_files import write_json

from .simulation import SimulatedManager

RESULT = Path(__file__).parent / "results" / "tuner_cost.json"
POPULATION = 20
# Ten hyperparameters, as a thorough user would let vary.
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


class Watched(SimulatedManager):
    """Forgets jobs that are long over, as a manager keeps them on disk, and takes the tuner's time."""

    def send(self, credit, parameters):
        super().send(credit, parameters)
        for old in list(self.statuses)[:-200]:
            del self.submitted[old], self.statuses[old]
            self.trained.clear()


def measure(trials: int) -> list[dict]:
    """Seconds a suggestion, and memory, as the history grows."""
    measured, process = [], psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        tuner = StressTuner(
            population_size=POPULATION,
            generations=trials // POPULATION,
            tolerance=1e6,
            patience=10**6,
            seed=0,
            folder=folder,
        )
        suggest, spent = tuner._search.suggestions, []

        def timed(*arguments):
            began = time.perf_counter()
            found = suggest(*arguments)
            spent.append((len(arguments[1]), (time.perf_counter() - began) / len(found)))
            if len(spent) % 25 == 0:
                measured.append(
                    {
                        "trials": spent[-1][0],
                        "milliseconds_a_suggestion": round(1000 * spent[-1][1], 2),
                        "memory_megabytes": round(process.memory_info().rss / 2**20, 1),
                    }
                )
                print(measured[-1], flush=True)
            return found

        tuner._search.suggestions = timed
        manager = Watched(tuner, concurrency=10)
        manager.space = SPACE
        manager.run(seconds=10**9)
        if manager.error:
            raise RuntimeError(manager.error)
    return measured


def import_seconds() -> float:
    """The median of five starts of Python that import StressTuner, less those that import nothing."""

    def start(script):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ})
        return time.perf_counter() - began

    return round(
        sorted(start("import nni_stress; nni_stress.StressTuner") - start("") for _ in range(5))[2],
        2,
    )


def main() -> None:
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
