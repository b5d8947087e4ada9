"""Writes contests with random fidelities, in which some methods are better by a known amount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nni_stress.utils.atomic_files import write_json

from .cell_records import write_cell
from .contest import EVOLUTION, Cell
from .contest_file import read_contest

FOUNDER: dict[str, Any] = {
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
    gains: Mapping[str, float] | None = None,
    noise: float = 0.004,
    methods: Sequence[str] = METHODS,
    budgets: Sequence[float] = (10, 40),
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
    trials: int = 2,
) -> Path:
    """Write the folder of a contest, with all records.

    Parameters
    ----------
    folder
        Where; made where it does not exist.
    seed
        Of the random fidelities.
    gains
        {method: by how much its test fidelity is higher}; all other methods are equally good.
    noise
        Standard deviation of the test fidelity.
    methods, budgets, seeds, trials
        Of the contest.

    Returns
    -------
    Path
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
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
        mean = 0.9 - 0.02 * np.log10(cell.budget) + (gains or {}).get(cell.method, 0.0)
        records = [
            trial(cell, number, mean + noise * rng.standard_normal()) for number in range(trials)
        ]
        write_cell(folder, cell, records)
    return folder


def trial(cell: Cell, number: int, test: float, **changes: Any) -> dict[str, Any]:
    """Return a trial as a record has it, with the given test fidelity and any changes."""
    synapses = int(FOUNDER["synapses"] / cell.budget)
    return {
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
        **changes,
    }
