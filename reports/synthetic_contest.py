"""Contests whose outcome is planted: records as a run leaves them, with fidelities drawn at random."""

from pathlib import Path

import numpy as np
import yaml

from nni_stress.utils.atomic_files import write_json

from .contest import EVOLUTION, Cell, read_contest, write_cell

FOUNDER = {
    "synapses": 100_000,
    "macs": 1_000_000,
    "validation": 0.92,
    "test": 0.915,
    "epochs": 8,
    "architecture": {"conv": [20, 1, 5, 5], "fc": [500, 20]},
}
ENVIRONMENT = {"processor": "planted", "cores": "2"}
METHODS = (EVOLUTION, "evolution without stress", "L1NormPruner", "TaylorPruner", "AGPPruner")


def plant(
    folder: Path,
    seed: int = 0,
    gains: dict | None = None,
    noise: float = 0.004,
    methods=METHODS,
    budgets=(10, 40),
    seeds=(1, 2, 3, 4, 5),
    trials: int = 2,
) -> Path:
    """Write a contest in which all methods are alike, but for the `gains` of some, in test fidelity."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    content = {
        "task": "trials.lenet5:make_task",
        "methods": list(methods),
        "budgets": list(budgets),
        "seeds": list(seeds),
        "trials": trials,
        "epochs": 2,
        "evolution": {"generations": 1, "tolerance": 0.1, "stress_epochs": 0.5, "space": {}},
    }
    (folder / "contest.yml").write_text(yaml.safe_dump(content))
    write_json(folder / "founder.json", FOUNDER)
    write_json(folder / "environment.json", ENVIRONMENT)
    for cell in read_contest(folder / "contest.yml").cells():
        level = 0.9 - 0.02 * np.log10(cell.budget) + (gains or {}).get(cell.method, 0.0)
        write_cell(
            folder,
            cell,
            [
                trial(cell, number, level + noise * chance.standard_normal())
                for number in range(trials)
            ],
        )
    return folder


def trial(cell: Cell, number: int, test: float, **changes) -> dict:
    synapses = int(FOUNDER["synapses"] / cell.budget)
    return {
        **{
            "trial": number,
            "validation": float(test) + 0.002 * number,
            "test": float(test),
            "untrained": 0.5,
            "synapses": synapses,
            "macs": 10_000,
            "efficiency": FOUNDER["synapses"] / synapses,
            "latency": 0.3,
            "epochs": 2,
            "seconds": {"recovery": 10.0},
            "architecture": {"conv": [5, 1, 5, 5], "fc": [50, 5]},
            "knobs": {"learning_rate": 0.001},
        },
        **changes,
    }
