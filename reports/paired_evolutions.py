"""What one setting of StressTuner changes: many small evolutions with it and without, by seed.

    python -m reports.paired_evolutions "early ending"           # the seeds not yet recorded
    python -m reports.paired_evolutions "two parents" --table    # what is recorded so far

LeNet-5 on Fashion-MNIST, a founder of 12 epochs, three generations of four brief offspring within
one point of the founder's validation accuracy, one trial at a time. Each seed gives a pair of
evolutions. Any number of processes may share the work.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from nni_stress.trials.founders import train_founder

from nni_stress.trial.in_process import evolve
from nni_stress.trials import lenet5

from . import checkout
from .bench.evolutions import summary
from .claims import claimed, provenance, records_in, run_cells
from .significance import difference

RESULTS = checkout.RESULTS / "paired_evolutions"
FOUNDER = Path("runs/founders/lenet5-fashion-mnist-12.safetensors")
SEEDS = range(1, 25)
# Arguments of StressTuner, of the evolutions without and with the setting.
SETTINGS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "early ending": ({}, {"early_ending": True}),
    "two parents": ({"survivors": 3}, {"survivors": 3, "parents": 2}),
}
COMMON = {"population_size": 4, "generations": 3, "tolerance": 0.01, "search": "TPE"}
BRIEF = {
    "stress_epochs": {"_type": "choice", "_value": [0.25]},
    "recovery_epochs": {"_type": "choice", "_value": [0.5, 1.0]},
}


def pair(setting: str, seed: int, founder: Path, task: Any = None) -> dict[str, Any]:
    """Run the two evolutions of a seed.

    Parameters
    ----------
    setting
        A key of SETTINGS.
    seed
        Of both evolutions.
    founder
        File of the founder, trained and written where it does not exist.
    task
        What is evolved; by default LeNet-5 on Fashion-MNIST.

    Returns
    -------
    dict
        {"without", "with": see :func:`reports.bench.evolutions.summary`}.
    """
    if task is None:
        task = lenet5.make_task("fashion-mnist", None, 128, 12)
    space = {**checkout.search_space("lenet5"), **BRIEF}
    found = {}
    for name, arguments in zip(("without", "with"), SETTINGS[setting]):
        with tempfile.TemporaryDirectory() as folder:
            lineage = evolve(task, folder, space, founder, **COMMON, **arguments, seed=seed)
            found[name] = summary(lineage)
    return found


def compared(records: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Compare the last survivors with the setting and without, over the seeds.

    Parameters
    ----------
    records
        {seed: what `pair` returned}.

    Returns
    -------
    dict
        Share of training saved; geometric mean of the ratio of efficiencies, with the setting to
        without; p of the paired t-test on its logarithm; how often the efficiency is higher, same
        and lower; the mean difference in hypervolume.

    Examples
    --------
    >>> one = {"training_seconds": 2.0, "efficiency": 4.0, "hypervolume": 0.5}
    >>> two = {"training_seconds": 1.0, "efficiency": 8.0, "hypervolume": 0.6}
    >>> three = {**two, "efficiency": 4.5}
    >>> found = compared({1: {"without": one, "with": two}, 2: {"without": one, "with": three}})
    >>> found["saved"], found["efficiency_ratio"], found["higher"]
    (0.5, 1.5, 2)
    """

    def by_seed(kind: str, figure: str) -> dict[int, float]:
        return {seed: both[kind][figure] for seed, both in records.items()}

    without, with_it = (by_seed(kind, "efficiency") for kind in ("without", "with"))
    gain = difference(_logarithms(with_it), _logarithms(without))
    if gain is None or gain.p is None:
        raise ValueError(f"at least two seeds must be recorded, but got {len(records)}")
    seconds = [sum(by_seed(kind, "training_seconds").values()) for kind in ("without", "with")]
    areas = difference(by_seed("with", "hypervolume"), by_seed("without", "hypervolume"))
    return {
        "seeds": gain.pairs,
        "saved": round(1 - seconds[1] / seconds[0], 3),
        "efficiency_ratio": round(math.exp(gain.mean), 3),
        "p": round(gain.p, 5),
        "higher": sum(with_it[seed] > without[seed] for seed in records),
        "same": sum(with_it[seed] == without[seed] for seed in records),
        "lower": sum(with_it[seed] < without[seed] for seed in records),
        "hypervolume": None if areas is None else round(areas.mean, 4),
    }


def _logarithms(values: Mapping[int, float]) -> dict[int, float]:
    return {seed: math.log(value) for seed, value in values.items()}


def folder_of(setting: str, results: Path = RESULTS) -> Path:
    """The folder of a setting's records."""
    return results / setting.replace(" ", "-")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m reports.paired_evolutions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("setting", choices=list(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--founder", type=Path, default=FOUNDER)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what is recorded, run nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = folder_of(options.setting, options.results)
    if not options.table:
        _run(options.setting, options.seeds, folder, options.founder)
    print(compared({record["seed"]: record for record in records_in(folder)}))


def _run(setting: str, seeds: Any, folder: Path, founder: Path) -> None:
    """Run the seeds that have no record and on which no other process is at work."""
    with claimed(founder.with_suffix(".lock"), wait=True):
        if not founder.exists():
            train_founder(lenet5.make_task("fashion-mnist", None, 128, 12), founder, quiet=True)

    def record_of(seed: int) -> dict[str, Any]:
        return {**pair(setting, seed, founder), "seed": seed, **provenance()}

    makers = {str(seed): partial(record_of, seed) for seed in seeds}
    locks = founder.parent / folder.name
    run_cells(makers, folder, locks, lambda record: [record["without"], record["with"]])


if __name__ == "__main__":
    main()
