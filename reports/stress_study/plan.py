"""The cells of the study: networks, budgets, arms, founders and seeds. See protocol.md."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from nni_stress import Task
from nni_stress.trials import lenet5, resnet20, yolov2

# Settings of each arm; None: the synthesis comes first, and the small network trains in its place.
ARMS: Mapping[str, Mapping[str, Any] | None] = {
    "none": {"stress_peak": 0.0},
    "narrow": {"stressor": "nested_silence", "stress_range": 0.25},
    "middle": {"stressor": "nested_silence", "stress_range": 0.5},
    "wide": {"stressor": "nested_silence", "stress_range": 1.0},
    "renewed": {"stressor": "nested_silence", "stress_range": 0.5, "stress_renewals": 3},
    "attenuate": {"stressor": "attenuate"},
    "weaken": {"stressor": "weaken"},
    "silence": {"stressor": "silence"},
    "survival": {"stressor": "survival"},
    "synthesis first": None,
}
COMMON = {"strength": "taylor", "temperature": 0.0}

PILOT_SEEDS = (101, 102)  # of the first founder; they enter no table

STALE = "stale norms"  # no step, and the statistics of batch norms are the ancestor's
FEW = "300 on 1 %"  # of the training images

RATES = (2e-3, 4e-3, 8e-3, 16e-3)  # of recovery, among which the pilot chooses


@dataclass(frozen=True)
class Subject:
    """A network with its data, and how it is trained.

    Parameters
    ----------
    name
        Its name.
    task
        Makes its task.
    budgets
        For each resource, how many times less of it the small network may use.
    stress_rate
        Learning rate of the epoch in front of the synthesis.
    short_rate, long_rate
        Learning rates of recovery of up to 100 steps, and of more.
    steps, epochs
        Lengths of recovery.
    few
        Whether it recovers on one hundredth of its training images as well.
    arms, founders, seeds
        Its cells, for each budget.
    """

    name: str
    task: Callable[[], Task]
    budgets: Mapping[str, float]
    stress_rate: float
    short_rate: float
    long_rate: float
    steps: tuple[int, ...] = (10, 30, 100, 300)
    epochs: tuple[float, ...] = (1, 4)
    few: bool = True
    arms: tuple[str, ...] = tuple(ARMS)
    founders: tuple[int, ...] = (1, 2, 3)
    seeds: tuple[int, ...] = (1, 2, 3, 4)

    def rate(self, steps: int) -> float:
        """Learning rate of a recovery of so many steps.

        Examples
        --------
        >>> SUBJECTS["lenet5"].rate(30) == SUBJECTS["lenet5"].short_rate
        True
        """
        return self.short_rate if steps <= 100 else self.long_rate


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject(
            "lenet5",
            lambda: lenet5.make_task("fashion-mnist", None, 128, 12),
            {"parameters": 100.0, "macs": 25.0},
            stress_rate=2e-3,
            short_rate=16e-3,
            long_rate=8e-3,
        ),
        Subject(
            "resnet20",
            resnet20.make_task,
            {"parameters": 20.0, "macs": 10.0},
            stress_rate=2e-3,
            short_rate=8e-3,
            long_rate=16e-3,
        ),
        Subject(
            "yolov2",
            lambda: yolov2.make_task(
                size=96, width=0.25, scenes=8000, founder_epochs=20, bfloat16=True
            ),
            {"parameters": 8.0, "macs": 4.0},
            stress_rate=8e-4,
            short_rate=8e-4,
            long_rate=8e-4,
            steps=(),
            epochs=(0.1, 1),
            few=False,
            arms=("none", "narrow", "middle", "wide", "renewed"),
            founders=(1,),
            seeds=(1, 2, 3),
        ),
    )
}
PILOT = ("lenet5", "resnet20")


class Cell(NamedTuple):
    """One run of the study.

    Examples
    --------
    >>> Cell("lenet5", "macs", "synthesis first", 1, 2).name
    'lenet5-macs-synthesis-first-1-2'
    """

    subject: str
    resource: str
    arm: str
    founder: int
    seed: int

    @property
    def name(self) -> str:
        """Name of its record."""
        return "-".join(map(str, self)).replace(" ", "-")


def cells() -> list[Cell]:
    """All cells, those of all arms with the same founder and seed one after the other.

    Examples
    --------
    >>> len(cells())
    510
    """
    return [
        Cell(name, resource, arm, founder, seed)
        for name, subject in SUBJECTS.items()
        for seed, founder in itertools.product(subject.seeds, subject.founders)
        for resource in subject.budgets
        for arm in subject.arms
    ]


def pilot() -> list[Cell]:
    """The cells by which learning rates are chosen."""
    return [
        Cell(subject, resource, arm, SUBJECTS[subject].founders[0], seed)
        for subject in PILOT
        for seed in PILOT_SEEDS
        for resource in SUBJECTS[subject].budgets
        for arm in ("none", "wide")
    ]
