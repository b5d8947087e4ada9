"""What a contest consists of: axes, methods, cells."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, NamedTuple

EVOLUTION = "evolution"
SCRATCH = "evolved architecture from scratch"
# The evolution's own parts, which show what makes the difference: the verdict does not count them.
PARTS = (
    "evolution without stress",
    "evolution without breeding",
    "one-shot StressPruner",
    SCRATCH,
)
NNI_PRUNERS = (
    "RandomPruner",
    "L1NormPruner",
    "L2NormPruner",
    "FPGMPruner",
    "TaylorPruner",
    "SlimPruner",
    "MovementPruner",
    "LinearPruner",
    "AGPPruner",
    "L1NormPruner at one ratio",
)
TORCH_PRUNING = (
    "Torch-Pruning Taylor",
    "Torch-Pruning Taylor iterative",
    "Torch-Pruning L1",
    "Torch-Pruning L1 iterative",
)
RIVALS = (*NNI_PRUNERS, *TORCH_PRUNING)
# Removes single synapses (weights): the network keeps its shape, its MACs and its latency.
UNSTRUCTURED = ("LevelPruner",)
# Suffix of a rival or a part whose final training is as long as makes its seconds those of the
# evolution.
EQUAL_SECONDS = " in equal seconds"
_BASE = (EVOLUTION, *PARTS, *RIVALS)
METHODS = (*_BASE, *UNSTRUCTURED, *(f"{method}{EQUAL_SECONDS}" for method in _BASE[1:]))


class Axis(NamedTuple):
    """A resource of which networks may use less, and who is compared on it.

    Attributes
    ----------
    resource
        "parameters", "macs" or "latency".
    budgets
        How many times less of it a network may use than its founder.
    methods
        Names among METHODS.
    """

    resource: str
    budgets: tuple[float, ...]
    methods: tuple[str, ...]


class Cell(NamedTuple):
    """One method with one budget, on one founder, with one seed.

    Examples
    --------
    >>> Cell("macs", 25.0, "AGPPruner", 2, 4).name
    'AGPPruner, 25x fewer macs, founder 2, seed 4'
    """

    resource: str
    budget: float
    method: str
    founder: int
    seed: int

    @property
    def name(self) -> str:
        """The cell in words."""
        times = f"{self.budget:g}x {'less' if self.resource == 'latency' else 'fewer'}"
        return f"{self.method}, {times} {self.resource}, founder {self.founder}, seed {self.seed}"


class Contest(NamedTuple):
    """What is compared; reports/compare.yml explains each field.

    Attributes
    ----------
    task
        Name of the function that makes the task.
    axes
        Resources with their budgets and methods.
    founders
        Seeds of the founders' trainings.
    seeds
        Of the cells. The founders take turns.
    search_epochs, final_epochs
        Epochs of training of each cell's search, and of its final training.
    learning_rate
        Highest learning rate of the final training; None: that of
        :func:`nni_stress.for_budget`.
    learning_rates
        {method: that of its final training}, where it differs.
    task_arguments
        Arguments of that function.
    processes, threads
        Cells at a time, and threads of each.
    """

    task: str
    axes: tuple[Axis, ...]
    founders: tuple[int, ...]
    seeds: tuple[int, ...]
    search_epochs: float
    final_epochs: float
    learning_rate: float | None = None
    learning_rates: Mapping[str, float] = {}
    task_arguments: Mapping[str, Any] = {}
    processes: int = 1
    threads: int = 1

    def founder_of(self, seed: int) -> int:
        """The founder with which a seed begins."""
        return self.founders[self.seeds.index(seed) % len(self.founders)]

    def waves(self) -> list[list[Cell]]:
        """All cells, those that take up what others found after them.

        Within a wave they come seed by seed: a contest that is cut short has whole seeds.
        """
        waves: list[list[Cell]] = [[], [], []]
        for seed in self.seeds:
            for axis in self.axes:
                for budget in axis.budgets:
                    for method in axis.methods:
                        cell = Cell(axis.resource, budget, method, self.founder_of(seed), seed)
                        waves[_wave(method)].append(cell)
        return waves

    def cells(self) -> list[Cell]:
        """All cells, in the order in which they are run."""
        return [cell for wave in self.waves() for cell in wave]


def _wave(method: str) -> int:
    if in_equal_seconds(method):
        return 2  # after all seeds of the method itself and of the evolution
    return int(method == SCRATCH)


def in_equal_seconds(method: str) -> bool:
    """Whether a method has the evolution's seconds, in place of its steps.

    Examples
    --------
    >>> in_equal_seconds("AGPPruner"), in_equal_seconds("AGPPruner in equal seconds")
    (False, True)
    """
    return method.endswith(EQUAL_SECONDS)


def base_of(method: str) -> str:
    """The method without the suffix that says how long its final training is.

    Examples
    --------
    >>> base_of("AGPPruner in equal seconds")
    'AGPPruner'
    """
    return method.removesuffix(EQUAL_SECONDS)


def importable_task(task: str) -> str:
    """The name under which a contest's task can be imported here.

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
