"""Stress: how strong it is at a step of training, and what synapses feel of it. Pure functions.

`survival` is the survival probability P of each cluster (or synapse), `level` the stress level sigma in [0, 1]. Every
random draw takes an explicit generator on the CPU, so that a seed means the same on every device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Nested silence leaves between these shares of the clusters that will survive the synthesis, as it sets in; by the end
# of the phase it has narrowed down to this part of that.
NESTED_RANGE, NESTED_END = (0.6, 1.7), 0.2

SHAPES = {
    "linear": lambda x: x,
    "cubic": lambda x: (
        1 - (1 - x) ** 3
    ),  # as automated gradual pruning (Zhu and Gupta, arXiv 1710.01878)
    "cosine": lambda x: (1 - math.cos(math.pi * x)) / 2,
}


class Schedule(NamedTuple):
    """When stress sets in, how it rises, and how long it stays; times in optimizer steps, `peak` in [0, 1]."""

    peak: float
    onset: float
    ramp: float
    plateau: float = math.inf
    shape: str = "linear"


def stress_level(step: int, schedule: Schedule) -> float:
    """Stress level sigma(t) after `step` steps: 0 before the onset, a ramp to the peak, the plateau, then 0 again."""
    since = step - schedule.onset
    if since < 0 or since > schedule.ramp + schedule.plateau:
        return 0.0
    if since >= schedule.ramp:
        return schedule.peak
    return schedule.peak * SHAPES[schedule.shape](since / schedule.ramp)


def attenuation(survival: Tensor, level: float) -> Tensor:
    """Factor of a synapse's effective strength: 1 - level (1 - P), of the shape of `survival`."""
    return 1 - level * (1 - survival)


def silence(survival: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """0 with probability level (1 - P), independently, else 1; of the shape of `survival`. The strongest never falls silent."""
    drawn = torch.rand(survival.shape, generator=generator).to(survival.device, non_blocking=True)
    return (drawn >= level * (1 - survival)).to(survival.dtype)


def nested_width(step: int, onset: int, total_steps: int) -> float:
    """How wide the range of nested silence is at a step: 1 as it sets in, falling to `NESTED_END` at the end of the phase."""
    return 1 - (1 - NESTED_END) * (step - onset) / max(1, total_steps - onset)


def nested_silence(
    rank: Tensor, coming: int, level: float, generator: torch.Generator, width: float = 1.0
) -> Tensor:
    """With probability `level`, silence all but a random number of the strongest clusters, around the coming number.

    Parameters
    ----------
    rank
        Rank of each cluster by strength, 0 the strongest, any shape.
    coming
        How many clusters will survive the synthesis.
    level
        Stress level.
    generator
        Of the random choice.
    width
        How wide the range around the coming number is: 1 is `NESTED_RANGE`, 0 the coming number alone.

    Returns
    -------
    Tensor
        1 and 0, float, of the shape of `rank`; at least one is 1.
    """
    if torch.rand((), generator=generator) >= level:
        return torch.ones(rank.shape, device=rank.device)
    low, high = (
        max(1, min(rank.numel(), int((1 + width * (share - 1)) * coming + 0.5)))
        for share in NESTED_RANGE
    )
    kept = int(torch.randint(low, high + 1, (), generator=generator))
    return (rank < kept).float()


def weakening(survival: Tensor, level: float, total_steps: int) -> Tensor:
    """Factor by which a weight decays in one step: full stress through all of `total_steps` leaves 1 % of it."""
    return 0.01 ** (level * (1 - survival) / total_steps)
