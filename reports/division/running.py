"""Runs cells: an evolution in this process, with as many steps whatever its division."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from nni_stress.evolution.ancestry import best_survivor
from nni_stress.evolution.search_space import fixed
from nni_stress.graph import serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.in_process import evolve

from ..claims import provenance
from .plan import CANDIDATES, DIVISIONS, EARLY_RATE, RANGE, Cell, Division, Subject


def run_cell(cell: Cell, subject: Subject, founder: Path) -> dict[str, Any]:
    """Run a cell and return its record.

    Parameters
    ----------
    cell
        The cell.
    subject
        Its network.
    founder
        File of its founder.
    """
    task = subject.task()
    resource, times = subject.budgets[cell.budget]
    started = time.perf_counter()
    division = DIVISIONS[cell.method]
    with tempfile.TemporaryDirectory() as folder:
        lineage = evolve(
            task,
            folder,
            _space(division, times),
            founder,
            **_arguments(division, cell, subject, resource, times),
        )
        found = _evolved(lineage)
    whole = serialization.load(founder, task.network)
    return {
        **cell._asdict(),
        "founder_fidelity": {
            split: task.fidelity(whole, split) for split in ("validation", "test")
        },
        **found,
        "seconds": round(time.perf_counter() - started, 1),
        **provenance(),
    }


def _space(division: Division, times: float) -> dict[str, Any]:
    """The search space of an evolution; where there is one offspring, nothing is searched."""
    settings = {
        "environmental_factor": times ** (-1 / division.generations),
        "stress_epochs": division.stress,
        "recovery_epochs": division.recovery,
        "learning_rate": EARLY_RATE,
        "temperature": 0.0,
    }
    if division.generations * division.population == 1:
        usual = {"candidates": CANDIDATES, "stress_range": RANGE}
        return fixed({**settings, **usual, **division.fixed})
    return {
        **fixed(settings),
        "candidates": {"_type": "choice", "_value": [1, CANDIDATES]},
        "stress_peak": {"_type": "uniform", "_value": [0.0, 1.0]},
        "stress_range": {"_type": "uniform", "_value": [0.0, 1.0]},
        "redundancy": {"_type": "loguniform", "_value": [0.3, 20.0]},
    }


def _arguments(
    division: Division, cell: Cell, subject: Subject, resource: str, times: float
) -> dict[str, Any]:
    """Arguments of StressTuner: every offspring may survive, so that validation alone chooses."""
    return {
        "generations": division.generations,
        "population_size": division.population,
        "tolerance": 1.0,
        "target_efficiency": times,
        "resource": resource,
        "maturation_epochs": subject.epochs - division.search,
        "maturation_learning_rate": cell.rate,
        "search": "Random",
        "seed": cell.seed,
    }


def _evolved(lineage: Lineage) -> dict[str, Any]:
    best = best_survivor(lineage)
    founder = lineage.record(FOUNDER)
    if founder is None or not best.matured:
        raise RuntimeError(f"{lineage.folder} must end with a maturation")
    return {
        "validation": best.validation,
        "test": best.test,
        "times_fewer": {
            "parameters": founder.synapses / best.synapses,
            "macs": founder.macs / best.macs,
        },
        "architecture": best.architecture,
        "curve": best.curve,
        "offspring": [
            {
                "uid": record.uid,
                "ancestor": record.ancestor,
                "arguments": record.arguments,
                "validation": record.validation,
                "untrained": record.untrained,
                "untrained_loss": record.untrained_loss,
                "architecture": record.architecture,
                "seconds": record.seconds,
            }
            for record in lineage.records()
            if record.uid != FOUNDER
        ],
    }
