"""Whole evolutions by the real nnictl: what of a trial is not training, and what ending the hopeless early saves."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from nni_stress.evolution import selection
from nni_stress.experiment import launch
from nni_stress.lineage.store import FOUNDER, Lineage, Record

from ..significance import hypervolume

_ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 3, 4, 5)
KINDS = "to the end", "ended early"
_PORTS = (8131, 8132)
BRIEF = {"recovery_epochs": {"_type": "choice", "_value": [2, 3]}}


def _evolved(folder: Path, port: int, space: dict | None = None, **arguments) -> Lineage:
    """An evolution of LeNet-5 on Fashion-MNIST, one trial at a time; the founder's file is in the folder's parent."""
    lineage = Lineage(folder / "lineage")
    usual = yaml.safe_load((_ROOT / "search_spaces" / "lenet5.yml").read_text())
    config = {
        "experimentName": folder.name,
        "searchSpace": {**usual, **(space or {})},
        "trialCommand": f"python3 -m trials.lenet5 --data fashion-mnist --founder {folder.parent / 'founder.safetensors'}",
        "trialCodeDirectory": str(_ROOT),
        "trialConcurrency": 1,
        "trainingService": {"platform": "local"},
        "tuner": {
            "className": "nni_stress.StressTuner",
            "classArgs": dict(folder=str(lineage.folder), **arguments),
        },
    }
    experiment = launch.start(config, folder, port)
    try:
        experiment.follow(lambda: None)
    finally:
        experiment.stop()
    return lineage


def _training(record: Record) -> float:
    return record.seconds.get("stress", 0.0) + record.seconds.get("recovery", 0.0)


def overhead() -> dict:
    """A LeNet-5 trial on Fashion-MNIST: seconds that are neither training nor evaluation, nothing else running."""
    with tempfile.TemporaryDirectory() as folder:
        lineage = _evolved(
            Path(folder) / "overhead", _PORTS[0], population_size=4, generations=1, seed=1
        )
        trials = [record.seconds for record in lineage.records() if record.uid != FOUNDER]
    spent = [one["overhead"] + one["synthesis"] for one in trials]
    return {
        "LeNet-5, Fashion-MNIST": {
            "trials": len(trials),
            "overhead_seconds": round(statistics.median(spent), 2),
            "of_them_synthesis": round(statistics.median(one["synthesis"] for one in trials), 2),
            "trial_seconds": round(statistics.median(sum(one.values()) for one in trials), 1),
            "share": round(
                statistics.median(part / sum(one.values()) for part, one in zip(spent, trials)), 3
            ),
        }
    }


def ending(search: str = "TPE", seeds: Sequence[int] = SEEDS) -> Iterator[dict]:
    """Evolutions with and without early ending: training seconds, and the frontiers they come to; seed by seed.

    What differs at the end is what the search learned of those that were ended, which never trained. `Random` learns nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _evolved(folder / "founder", _PORTS[0], BRIEF, population_size=1, generations=1, seed=0)

        def run(seed: int, kind: str, port: int) -> dict:
            lineage = _evolved(
                folder / f"{seed} {kind}",
                port,
                BRIEF,
                population_size=4,
                generations=4,
                seed=seed,
                search=search,
                early_ending=kind == KINDS[1],
            )
            return summary(lineage)

        with ThreadPoolExecutor(len(_PORTS)) as pool:  # the two that are compared run side by side
            for seed in seeds:
                pair = {
                    kind: pool.submit(run, seed, kind, port) for kind, port in zip(KINDS, _PORTS)
                }
                yield {f"seed {seed}": {kind: one.result() for kind, one in pair.items()}}


def summary(lineage: Lineage) -> dict:
    """Seconds of training; efficiency of the last survivor; hypervolume of the frontier on validation data; the survivors."""
    records, rules = lineage.records(), selection.Rules.of(lineage.read_state())
    line, founder = selection.line(selection.by_generation(records), rules), records[0].validation
    seconds = sum(_training(record) for record in records if record.uid != FOUNDER)
    places = [(record.efficiency, record.validation) for record in records]
    return {
        "training_seconds": round(seconds, 1),
        "efficiency": round(line[-1].efficiency, 4),
        "hypervolume": round(hypervolume(places, founder, founder - 5 * rules.tolerance, 100), 4),
        "survivors": {record.uid: [record.synapses, record.validation] for record in line},
    }
