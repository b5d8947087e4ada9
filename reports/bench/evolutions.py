"""Whole evolutions by the real nnictl: overhead of a trial, and what early ending saves."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nni_stress.evolution import selection
from nni_stress.evolution.rules import Rules
from nni_stress.lineage.store import FOUNDER, Lineage, Record

from ..checkout import search_space
from ..experiments import run_experiment, trial_command
from ..significance import hypervolume

SEEDS = (1, 2, 3, 4, 5)
KINDS = ("to the end", "ended early")
BRIEF = {"recovery_epochs": {"_type": "choice", "_value": [2, 3]}}
_PORTS = (8131, 8132)


def _evolve(
    folder: Path, port: int, changes: Mapping[str, Any] | None = None, **arguments: Any
) -> Lineage:
    """Evolve LeNet-5 on Fashion-MNIST, one trial at a time.

    Parameters
    ----------
    folder
        Of the lineage; the founder's file is in its parent.
    port
        Of NNI's manager.
    changes
        Of the usual search space.
    arguments
        Of StressTuner.
    """
    lineage = Lineage(folder / "lineage")
    founder = folder.parent / "founder.safetensors"
    config = {
        "experimentName": folder.name,
        "searchSpace": {**search_space("lenet5"), **(changes or {})},
        "trialCommand": trial_command("lenet5", "--data", "fashion-mnist", "--founder", founder),
        "trialCodeDirectory": str(Path.cwd()),
        "trialConcurrency": 1,
        "trainingService": {"platform": "local"},
        "tuner": {
            "className": "nni_stress.StressTuner",
            "classArgs": {"folder": str(lineage.folder), **arguments},
        },
    }
    run_experiment(config, folder, port, lambda: None)
    return lineage


def overhead() -> dict[str, Any]:
    """Measure the seconds of a LeNet-5 trial that are neither training nor evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        lineage = _evolve(
            Path(folder) / "overhead", _PORTS[0], population_size=4, generations=1, seed=1
        )
        trials = [record.seconds for record in lineage.records() if record.uid != FOUNDER]
    spent = [seconds["overhead"] + seconds["synthesis"] for seconds in trials]
    totals = [sum(seconds.values()) for seconds in trials]
    shares = [part / total for part, total in zip(spent, totals)]
    synthesis = [seconds["synthesis"] for seconds in trials]
    return {
        "LeNet-5, Fashion-MNIST": {
            "trials": len(trials),
            "overhead_seconds": round(statistics.median(spent), 2),
            "of_them_synthesis": round(statistics.median(synthesis), 2),
            "trial_seconds": round(statistics.median(totals), 1),
            "share": round(statistics.median(shares), 3),
        }
    }


def ending(search: str = "TPE", seeds: Sequence[int] = SEEDS) -> Iterator[dict[str, Any]]:
    """Compare evolutions with and without early ending, seed by seed.

    The results differ only in what the search learns of offspring that were ended and never
    trained; the search `Random` learns nothing.

    Parameters
    ----------
    search
        Name of NNI's tuner that suggests the hyperparameters.
    seeds
        Of the evolutions.

    Yields
    ------
    dict
        {name of the seed: {kind: :func:`summary`}}.
    """
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        _evolve(folder / "founder", _PORTS[0], BRIEF, population_size=1, generations=1, seed=0)

        def run(seed: int, kind: str, port: int) -> dict[str, Any]:
            lineage = _evolve(
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

        # Both kinds of a seed run side by side.
        with ThreadPoolExecutor(len(_PORTS)) as pool:
            for seed in seeds:
                futures = {
                    kind: pool.submit(run, seed, kind, port) for kind, port in zip(KINDS, _PORTS)
                }
                yield {f"seed {seed}": {kind: one.result() for kind, one in futures.items()}}


def summary(lineage: Lineage) -> dict[str, Any]:
    """Summarize an evolution.

    Returns
    -------
    dict
        Seconds of training; efficiency of the last survivor; hypervolume of the frontier on
        validation data; synapses and validation fidelity of the survivors.
    """
    records, rules = lineage.records(), Rules.of(lineage.read_state() or {})
    survivors = selection.line(selection.by_generation(records), rules)
    founder = records[0].validation
    points = [(record.efficiency, record.validation) for record in records]
    seconds = sum(_training_seconds(record) for record in records if record.uid != FOUNDER)
    area = hypervolume(points, founder, founder - 5 * rules.tolerance, 100)
    return {
        "training_seconds": round(seconds, 1),
        "efficiency": round(survivors[-1].efficiency, 4),
        "hypervolume": round(area, 4),
        "survivors": {record.uid: [record.synapses, record.validation] for record in survivors},
    }


def _training_seconds(record: Record) -> float:
    return record.seconds.get("stress", 0.0) + record.seconds.get("recovery", 0.0)
