"""Does ending offspring early change the result of an evolution? Many small evolutions of LeNet-5.

    python -m reports.ending_study            # the seeds not yet recorded; 20 minutes
    python -m reports.ending_study --table    # what is recorded so far

For every seed, one evolution trains all offspring to the end, and one ends hopeless offspring
early: four generations of four on handwritten digits, one trial at a time, by the real tuner and
trial under a simulated manager. Offspring that end early could not have survived, but the search
learns from a forecast of them instead of a measurement.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from nni_stress.trials.lenet5 import make_task

from nni_stress import StressTuner
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.founding import make_founder
from nni_stress.trial.offspring import make_offspring
from nni_stress.utils.atomic_files import read_json, write_json

from .bench.evolutions import BRIEF, KINDS, summary
from .checkout import RESULTS, search_space
from .environment import environment
from .significance import difference
from .simulation import SimulatedManager

RESULT = RESULTS / "ending_study.json"
SEEDS = range(1, 25)


class TrainingManager(SimulatedManager):
    """A simulated manager whose trials train, in this process."""

    def __init__(self, tuner: StressTuner, founder: Path):
        super().__init__(tuner, concurrency=1)
        self.space = {**search_space("lenet5"), **BRIEF}
        self._task = make_task("digits")
        self._founder = founder

    def offspring(self, spec, lineage):
        """Train and record the offspring, or the founder; return its validation fidelity."""
        if spec.uid == FOUNDER:
            return make_founder(self._task, spec, lineage, self._founder).validation
        return make_offspring(self._task, spec, lineage).validation


def evolve(seed: int, early: bool, founder: Path, generations: int = 4) -> dict[str, Any]:
    """Run one evolution.

    Parameters
    ----------
    seed
        Of the evolution.
    early
        Whether hopeless offspring are ended early.
    founder
        File of the founder, trained and written where it does not exist.
    generations
        How many.

    Returns
    -------
    dict
        See :func:`reports.bench.evolutions.summary`.
    """
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        lineage = Lineage(Path(folder) / "lineage")
        tuner = StressTuner(
            population_size=4,
            generations=generations,
            seed=seed,
            early_ending=early,
            folder=str(lineage.folder),
        )
        manager = TrainingManager(tuner, founder)
        manager.run()
        if manager.error:
            raise RuntimeError(manager.error)
        return summary(lineage)


def compared(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Compare the last survivors of both kinds over the seeds.

    Parameters
    ----------
    found
        {seed: {kind: summary}}.

    Returns
    -------
    dict
        Share of training saved; geometric mean of the ratio of efficiencies, early ending to none;
        p of the paired t-test on its logarithm; how often the efficiency is higher, same and lower.
    """

    def by_seed(kind: str, figure: str) -> dict[str, float]:
        return {seed: pair[kind][figure] for seed, pair in found.items()}

    whole, early = (by_seed(kind, "efficiency") for kind in KINDS)
    gain = difference(_logarithms(early), _logarithms(whole))
    if gain is None or gain.p is None:
        raise ValueError(f"at least two seeds must be recorded, but got {len(found)}")
    seconds = [sum(by_seed(kind, "training_seconds").values()) for kind in KINDS]
    return {
        "seeds": gain.pairs,
        "saved": round(1 - seconds[1] / seconds[0], 3),
        "efficiency_ratio": round(math.exp(gain.mean), 3),
        "p": round(gain.p, 5),
        "higher": sum(early[seed] > whole[seed] for seed in found),
        "same": sum(early[seed] == whole[seed] for seed in found),
        "lower": sum(early[seed] < whole[seed] for seed in found),
    }


def _logarithms(values: dict[str, float]) -> dict[int, float]:
    return {int(seed): math.log(value) for seed, value in values.items()}


def run_missing(seeds: Sequence[int], processes: int, found: dict[str, dict[str, Any]]) -> None:
    """Run both evolutions of each seed, and add them to `found` and to the file of results."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(processes) as pool:
        founder = Path(folder) / "founder.safetensors"
        pool.submit(evolve, 0, False, founder, 1).result()  # trains the founder
        futures = {
            seed: {kind: pool.submit(evolve, seed, kind == KINDS[1], founder) for kind in KINDS}
            for seed in seeds
        }
        for seed, pair in futures.items():
            found[str(seed)] = {kind: future.result() for kind, future in pair.items()}
            write_json(
                RESULT,
                {
                    "compared": compared(found) if len(found) > 1 else None,
                    "environment": environment(),
                    "seeds": found,
                },
            )
            print(f"seed {seed}: {found[str(seed)]}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.ending_study``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--processes", type=int, default=2, help="evolutions at a time")
    parser.add_argument(
        "--table", action="store_true", help="print what is recorded, and run nothing"
    )
    options = parser.parse_args(arguments)
    found = read_json(RESULT)["seeds"] if RESULT.exists() else {}
    missing = [seed for seed in options.seeds if str(seed) not in found]
    if missing and not options.table:
        run_missing(missing, options.processes, found)
    print(compared(found))


if __name__ == "__main__":
    main()
