"""Does ending offspring early change where an evolution comes to? Many small ones, of LeNet-5 on handwritten digits.

    python -m reports.ending_study            # the seeds not yet recorded, two at a time; twenty minutes
    python -m reports.ending_study --table    # what is recorded so far

Of every seed one evolution goes to the end, and one ends offspring early: four generations of four, one trial at a time, by the
real tuner and trial under a simulated manager. What ends early could not have survived; but the search learns a forecast of it.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import yaml

from nni_stress import StressTuner
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.offspring import make_founder, make_offspring
from nni_stress.utils.atomic_files import read_json, write_json
from trials.lenet5 import make_task

from .bench.evolutions import BRIEF, KINDS, summary
from .environment import environment
from .significance import difference
from .simulation import SimulatedManager

RESULT = Path(__file__).parent / "results" / "ending_study.json"
SPACE = Path(__file__).parents[1] / "search_spaces" / "lenet5.yml"
SEEDS = range(1, 25)


class _InThisProcess(SimulatedManager):
    """A simulated manager whose trials are real."""

    def __init__(self, tuner: StressTuner, founder: Path):
        super().__init__(tuner, concurrency=1)
        self.space = {**yaml.safe_load(SPACE.read_text()), **BRIEF}
        self._task, self._founder = make_task("digits"), founder

    def offspring(self, parameters, lineage):
        if parameters["uid"] == FOUNDER:
            return make_founder(self._task, parameters, lineage, self._founder).validation
        return make_offspring(self._task, parameters, lineage).validation


def evolve(seed: int, early: bool, founder: Path, generations: int = 4) -> dict:
    """One evolution; the founder is read from its file, or trained and written there. Returns what it came to."""
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        lineage = Lineage(Path(folder) / "lineage")
        manager = _InThisProcess(
            StressTuner(
                population_size=4,
                generations=generations,
                seed=seed,
                early_ending=early,
                folder=str(lineage.folder),
            ),
            founder,
        )
        manager.run()
        if manager.error:
            raise RuntimeError(manager.error)
        return summary(lineage)


def compared(found: dict) -> dict:
    """How many times as efficient the last survivors are with early ending, the geometric mean, and p of the paired t-test."""

    def all_of(figure: str) -> list[dict]:
        return [{seed: pair[kind][figure] for seed, pair in found.items()} for kind in KINDS]

    whole, early = all_of("efficiency")
    gain = difference(
        *({seed: math.log(value) for seed, value in one.items()} for one in (early, whole))
    )
    seconds = [sum(one.values()) for one in all_of("training_seconds")]
    return {
        "seeds": gain.pairs,
        "saved": round(1 - seconds[1] / seconds[0], 3),
        "efficiency_ratio": round(math.exp(gain.mean), 3),
        "p": round(gain.p, 5),
        "higher": sum(early[seed] > whole[seed] for seed in found),
        "same": sum(early[seed] == whole[seed] for seed in found),
        "lower": sum(early[seed] < whole[seed] for seed in found),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args(arguments)
    found = read_json(RESULT)["seeds"] if RESULT.exists() else {}
    missing = [] if options.table else [seed for seed in options.seeds if str(seed) not in found]
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(options.processes) as pool:
        founder = Path(folder) / "founder.safetensors"
        if missing:
            pool.submit(evolve, 0, False, founder, 1).result()
        pairs = {
            seed: [pool.submit(evolve, seed, kind == KINDS[1], founder) for kind in KINDS]
            for seed in missing
        }
        for seed, pair in pairs.items():
            found[str(seed)] = dict(zip(KINDS, (one.result() for one in pair)))
            write_json(
                RESULT,
                {
                    "compared": compared(found) if len(found) > 1 else None,
                    "environment": environment(),
                    "seeds": found,
                },
            )
            print(f"seed {seed}: {found[str(seed)]}", flush=True)
    print(compared(found))


if __name__ == "__main__":
    main()
