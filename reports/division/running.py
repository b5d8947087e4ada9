"""Runs cells: an evolution in this process, with as many steps whatever its division."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from nni_stress.evolution.ancestry import best_survivor
from nni_stress.graph import serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.in_process import evolve

from ..claims import provenance
from .plan import DIVISIONS, Cell, Division, Subject


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
            division.space(times ** (-1 / division.generations)),
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
        "search": "GridSearch" if division.searched else "Random",
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
