"""Runs cells: an evolution in this process, or NNI's L1NormPruner, with as many steps."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from nni_stress import Task
from nni_stress.evolution.ancestry import best_survivor
from nni_stress.graph import cost, serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.in_process import evolve
from nni_stress.trials import pruners

from ..claims import provenance
from .plan import DIVISIONS, EARLY_RATE, METHODS, Cell, Division, Subject


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
    settings = METHODS.get(cell.method, (cell.method, {}))
    if settings is None:
        found = _pruned(task, founder, cell, subject, resource, times)
    else:
        division, changes = settings
        space = {**_space(DIVISIONS[division], times), **_fixed(changes)}
        with tempfile.TemporaryDirectory() as folder:
            lineage = evolve(
                task,
                folder,
                space,
                founder,
                **_arguments(DIVISIONS[division], cell, subject, resource, times),
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
    """The search space of an evolution; one offspring alone takes the defaults."""
    fixed = _fixed(
        {
            "environmental_factor": times ** (-1 / division.generations),
            "stress_epochs": division.stress,
            "recovery_epochs": division.recovery,
            "learning_rate": EARLY_RATE,
            "temperature": 0.0,
        }
    )
    if division.generations * division.population == 1:
        return {**fixed, **_fixed({"stress_peak": 0.0} if division.stress < 0.1 else {})}
    return {
        **fixed,
        "candidates": {"_type": "choice", "_value": [1, 200]},
        "stress_peak": {"_type": "uniform", "_value": [0.0, 1.0]},
        "stress_range": {"_type": "uniform", "_value": [0.0, 1.0]},
        "redundancy": {"_type": "uniform", "_value": [0.0, 3.0]},
    }


def _fixed(values: Any) -> dict[str, Any]:
    return {name: {"_type": "choice", "_value": [value]} for name, value in values.items()}


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


def _pruned(
    task: Task, founder: Path, cell: Cell, subject: Subject, resource: str, times: float
) -> dict[str, Any]:
    network = serialization.load(founder, task.network)
    founder_macs = cost.macs(network, task.example_input)
    knobs = {"scope": "uniform", "learning_rate": cell.rate}
    whole = pruners.run(
        cell.method, task, network, times, subject.epochs, knobs, cell.seed, resource
    )
    return {
        "validation": whole["validation"],
        "test": whole["test"],
        "times_fewer": {
            "parameters": whole["efficiency"],
            "macs": founder_macs / whole["macs"],
        },
        "architecture": whole["architecture"],
    }
