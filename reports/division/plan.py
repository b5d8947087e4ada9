"""Divisions of the steps, and the cells that compare them. See protocol.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nni_stress import Task
from nni_stress.evolution.search_space import fixed

from ..stress_study.plan import SUBJECTS as FOUNDERS_OF

EARLY_RATE = 4e-3  # of stress and of offspring's recovery
CANDIDATES = 200  # that are bred
RANGE = 0.5  # of the stress, where it is not drawn
ALLOCATIONS = [1.0, 4.0, 8.0, 20.0]  # redundancy, from importance per cost to equal shares

# What four offspring or more drew in the first look.
DRAWN = {
    "candidates": {"_type": "choice", "_value": [1, CANDIDATES]},
    "stress_peak": {"_type": "uniform", "_value": [0.0, 1.0]},
    "stress_range": {"_type": "uniform", "_value": [0.0, 1.0]},
    "redundancy": {"_type": "loguniform", "_value": [0.3, 20.0]},
}


class Division(NamedTuple):
    """How an evolution divides its steps; what is left is for the maturation.

    Attributes
    ----------
    generations, population
        Of the evolution.
    stress, recovery
        Epochs of each offspring.
    fixed
        Hyperparameters that are not the study's usual ones.
    searched
        {name: choices} of hyperparameters of which offspring take all combinations, instead of
        drawing at random from DRAWN.

    Examples
    --------
    >>> Division(generations=2, population=4, stress=0.25, recovery=0.25).search
    4.0
    """

    generations: int
    population: int
    stress: float
    recovery: float
    fixed: Mapping[str, float] = {}
    searched: Mapping[str, list[float]] = {}

    @property
    def search(self) -> float:
        """Epochs of all offspring together."""
        return self.generations * self.population * (self.stress + self.recovery)

    @property
    def is_drawn(self) -> bool:
        """Whether offspring draw their hyperparameters at random."""
        return self.generations * self.population > 1 and not self.searched

    def space(self, environmental_factor: float) -> dict[str, Any]:
        """NNI's search space."""
        settings = {
            "environmental_factor": environmental_factor,
            "stress_epochs": self.stress,
            "recovery_epochs": self.recovery,
            "learning_rate": EARLY_RATE,
            "temperature": 0.0,
        }
        if self.is_drawn:
            return {**fixed(settings), **DRAWN}
        usual = {"candidates": CANDIDATES, "stress_range": RANGE}
        choices = {
            name: {"_type": "choice", "_value": values} for name, values in self.searched.items()
        }
        return {**fixed({**settings, **usual, **self.fixed}), **choices}


# Importance needs a few steps; without stress they are taken at the same rate as with it.
DIVISIONS = {
    "one shot, no stress": Division(1, 1, 0.05, 0.0, {"stress_peak": 0.0, "candidates": 1}),
    "one shot, equal shares": Division(
        1, 1, 0.05, 0.0, {"stress_peak": 0.0, "candidates": 1, "redundancy": 20.0}
    ),
    **{
        f"one shot, redundancy {redundancy:g}": Division(
            1, 1, 0.05, 0.0, {"stress_peak": 0.0, "candidates": 1, "redundancy": redundancy}
        )
        for redundancy in (4.0, 8.0)
    },
    "one shot, no stress, bred": Division(1, 1, 0.05, 0.0, {"stress_peak": 0.0}),
    "one shot, brief stress": Division(1, 1, 0.25, 0.0, {"candidates": 1}),
    "one shot, an epoch of stress, bred": Division(1, 1, 1.0, 0.0),
    "1 x 3, half an epoch of stress": Division(1, 3, 0.5, 0.25),
    "1 x 4, a twelfth": Division(1, 4, 0.125, 0.125),
    "1 x 4, a quarter": Division(1, 4, 0.125, 0.625),
    "1 x 8, a quarter": Division(1, 8, 0.125, 0.25),
    "2 x 4, a quarter": Division(2, 4, 0.125, 0.25),
    "1 x 4, allocations": Division(
        1, 4, 0.125, 0.125, {"stress_peak": 0.5, "candidates": 1}, {"redundancy": ALLOCATIONS}
    ),
    "1 x 4, allocations, no stress": Division(
        1, 4, 0.125, 0.125, {"stress_peak": 0.0, "candidates": 1}, {"redundancy": ALLOCATIONS}
    ),
    "1 x 4, allocations, bred": Division(
        1,
        4,
        0.125,
        0.125,
        {"stress_peak": 0.5},
        {"redundancy": [1.0, 20.0], "candidates": [1, CANDIDATES]},
    ),
}
# Compared on all founders, after the first look at founder 1.
SECOND_LOOK = (
    "one shot, no stress",
    "one shot, equal shares",
    "one shot, redundancy 4",
    "one shot, redundancy 8",
    "one shot, an epoch of stress, bred",
    "1 x 4, a twelfth",
    "1 x 4, allocations",
    "1 x 4, allocations, no stress",
    "1 x 4, allocations, bred",
)


@dataclass(frozen=True)
class Subject:
    """A network, its budgets, and the steps of a cell.

    Parameters
    ----------
    name
        That of the stress study's network, whose founders it has.
    budgets
        {name: (resource, how many times less of it)}.
    epochs
        Epochs of training in all.
    rate
        Highest learning rate of the final training.
    """

    name: str
    budgets: Mapping[str, tuple[str, float]]
    epochs: float
    rate: float

    @property
    def task(self) -> Callable[[], Task]:
        """Makes its task."""
        return FOUNDERS_OF[self.name].task


SUBJECTS = {
    "lenet5": Subject(
        "lenet5",
        {
            "44x parameters": ("parameters", 44.0),
            "25x MACs": ("macs", 25.0),
        },
        epochs=12.0,
        rate=8e-3,
    ),
    "resnet20": Subject(
        "resnet20",
        {"20x parameters": ("parameters", 20.0), "10x MACs": ("macs", 10.0)},
        epochs=8.0,
        rate=16e-3,
    ),
}
FOUNDERS = (1, 2, 3)


class Cell(NamedTuple):
    """One run of a division at one budget.

    Examples
    --------
    >>> Cell("lenet5", "44x parameters", "1 x 4, a twelfth", 1, 1, 8e-3).name
    'lenet5-44x-parameters-1-x-4-a-twelfth-1-1-0.008'
    """

    subject: str
    budget: str
    method: str
    founder: int
    seed: int
    rate: float

    @property
    def name(self) -> str:
        """Name of its record."""
        parts = [*self[:-1], f"{self.rate:g}"]
        return "-".join(map(str, parts)).replace(",", "").replace(" ", "-")


def cells() -> list[Cell]:
    """All cells; offspring that draw at random draw anew for each founder of the second look."""
    return [
        Cell(subject.name, budget, name, founder, founder if division.is_drawn else 1, subject.rate)
        for founder in FOUNDERS
        for subject in SUBJECTS.values()
        for budget in subject.budgets
        for name, division in DIVISIONS.items()
        if founder == 1 or name in SECOND_LOOK
    ]
