"""A contest: methods x budgets x seeds, each cell with the same founder, data, trials and epochs.

The epochs of the search count, too. The contest is described by a file such as
reports/compare.yml (:mod:`reports.contest_file`); its folder holds::

    founder.safetensors, founder.json     the founder of all cells, and what it achieves
    environment.json                      machine and versions of the run under way, or the last
    cells/L1NormPruner/44x-1.json         trials and environment of one cell
                                          (:mod:`reports.cell_records`)

This module imports no torch: NNI's manager waits only seconds for the tuner, which reads this.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

BUILTIN = (
    "RandomPruner",
    "LevelPruner",
    "L1NormPruner",
    "L2NormPruner",
    "FPGMPruner",
    "TaylorPruner",
    "SlimPruner",
    "MovementPruner",
    "LinearPruner",
    "AGPPruner",
)
# Removes single synapses (weights): the network keeps its shape and its latency.
UNSTRUCTURED = ("LevelPruner",)
EVOLUTION = "evolution"
# The evolution and its ablations: what each changes in the search space, and in StressTuner's
# arguments.
ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    EVOLUTION: ({}, {}),
    "evolution without stress": ({"stress_peak": 0.0}, {}),
    "evolution without sampling": ({"temperature": 0.0, "candidates": 1}, {}),
    "evolution in a uniform environment": (
        {"redundancy": 20.0, "early_worth": 1.0, "late_worth": 1.0, "candidates": 1},
        {},
    ),
    "evolution by random search": ({}, {"search": "Random"}),
}
# Suffix of a built-in pruner that spends the epochs of its cell on few trials, each of which trains
# as long as a lineage of the evolution.
LONG = " in long trials"
METHODS = (*ABLATIONS, *BUILTIN, *(f"{method}{LONG}" for method in BUILTIN))


class Cell(NamedTuple):
    """One method with one budget (synapses of the founder / synapses allowed) and one seed."""

    method: str
    budget: float
    seed: int

    @property
    def name(self) -> str:
        """The cell in words.

        Examples
        --------
        >>> Cell("AGPPruner", 44, 1).name
        'AGPPruner, 44x, seed 1'
        """
        return f"{self.method}, {self.budget:g}x, seed {self.seed}"


class Contest(NamedTuple):
    """What is compared; reports/compare.yml explains each field."""

    task: str
    methods: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: tuple[int, ...]
    trials: int
    epochs: float
    evolution: Mapping[str, Any]
    task_arguments: Mapping[str, Any] = {}
    concurrency: int = 2
    threads: int = 1
    training_service: Mapping[str, Any] = {"platform": "local"}

    def share(self, method: str) -> tuple[int, float]:
        """Return (trials, epochs of each trial) of a cell; their product is equal for all methods.

        Examples
        --------
        >>> contest = Contest("trial.py:make_task", (), (), (), 6, 1, {"generations": 3})
        >>> contest.share("AGPPruner"), contest.share("AGPPruner in long trials")
        ((6, 1), (2, 3))
        """
        generations = self.evolution["generations"] if method.endswith(LONG) else 1
        return self.trials // generations, self.epochs * generations

    def cells(self) -> Iterator[Cell]:
        """Iterate over all cells, seed by seed: a contest that is cut short has whole seeds."""
        for seed in self.seeds:
            for budget in self.budgets:
                for method in self.methods:
                    yield Cell(method, budget, seed)


def pruner_of(method: str) -> str:
    """Return the name of NNI's pruner that a method runs.

    Examples
    --------
    >>> pruner_of("AGPPruner in long trials")
    'AGPPruner'
    """
    return method.removesuffix(LONG)


def evolution_methods(methods: Sequence[str]) -> list[str]:
    """Of some methods, return the evolution and its ablations."""
    return [method for method in methods if method in ABLATIONS]


def builtin_methods(methods: Sequence[str]) -> list[str]:
    """Of some methods, return NNI's own pruners."""
    return [method for method in methods if method not in ABLATIONS]


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; a bool is not.

    Examples
    --------
    >>> is_number(0.5), is_number(True), is_number(float("nan"))
    (True, False, False)
    """
    return type(value) in (int, float) and abs(value) < 1e300


def importable_task(task: str) -> str:
    """Return the name under which a contest's task can be imported here.

    Contest files name the example tasks as a checkout has them, ``trials.lenet5:make_task``. Away
    from a checkout, where no other package ``trials`` has that module, the installed one is meant:
    ``nni_stress.trials.lenet5:make_task``.
    """
    module = task.rpartition(":")[0]
    if not module.startswith("trials.") or module.endswith(".py"):
        return task
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    return task if found else f"nni_stress.{task}"


def space_of(contest: Contest, cell: Cell) -> dict[str, Any]:
    """Return the search space of an evolution's cell.

    The environmental factors reach the budget in the contest's generations, about evenly.

    Parameters
    ----------
    contest
        The contest.
    cell
        A cell of the evolution or of one of its ablations.
    """
    changes, _ = ABLATIONS[cell.method]
    even_factor = cell.budget ** (-1 / contest.evolution["generations"])
    fixed = {
        "stress_epochs": contest.evolution["stress_epochs"],
        "recovery_epochs": contest.epochs - contest.evolution["stress_epochs"],
        **changes,
    }
    return {
        **contest.evolution["space"],
        "environmental_factor": {
            "_type": "uniform",
            "_value": [0.8 * even_factor, min(1.0, 1.1 * even_factor)],
        },
        **{name: {"_type": "choice", "_value": [value]} for name, value in fixed.items()},
    }
