"""Stress signals: their level at each step of training, and their effect on synapses (weights).

Pure functions. `survival` is the survival probability P of each cluster (output channel or neuron)
or synapse, and `level` the stress level sigma in [0, 1]. Every random draw takes a generator on the
CPU, so that a seed gives the same draw on every device.

Imposing stress signals on synapses during training is the idea of StressedNets (Shafiee et al.,
arXiv 1801.05387), of which only the abstracts were available. The formulas below are this project's
own, except where a source is named.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ...utils.ramps import SHAPES

# The number of clusters that nested silence keeps lies, when it sets in, between these multiples of
# the number that will survive synthesis. By the end of the phase, the range has shrunk to a
# fraction NESTED_END.
NESTED_RANGE = (0.6, 1.7)
NESTED_END = 0.2


class Schedule(NamedTuple):
    """When stress sets in, how it rises, and how long it lasts.

    Parameters
    ----------
    peak
        Highest stress level, in [0, 1].
    onset
        Optimizer steps before stress sets in.
    ramp
        Optimizer steps in which stress rises from 0 to `peak`.
    plateau
        Optimizer steps for which stress stays at `peak`.
    shape
        Shape of the ramp, a key of :data:`nni_stress.utils.ramps.SHAPES`.

    Examples
    --------
    >>> Schedule(peak=0.8, onset=10, ramp=40).plateau
    inf
    """

    peak: float
    onset: float
    ramp: float
    plateau: float = math.inf
    shape: str = "linear"


def stress_level(step: int, schedule: Schedule) -> float:
    """Stress level sigma(t): 0 before the onset, a ramp to the peak, the plateau, then 0 again.

    Parameters
    ----------
    step
        Number of optimizer steps taken.
    schedule
        The schedule of stress.

    Returns
    -------
    float
        The level, in [0, `schedule.peak`].

    Examples
    --------
    >>> [stress_level(step, Schedule(1.0, onset=10, ramp=40)) for step in (0, 10, 20, 50)]
    [0.0, 0.0, 0.25, 1.0]
    """
    elapsed = step - schedule.onset
    if elapsed < 0 or elapsed > schedule.ramp + schedule.plateau:
        return 0.0
    if elapsed >= schedule.ramp:
        return schedule.peak
    return schedule.peak * SHAPES[schedule.shape](elapsed / schedule.ramp)


def attenuation(survival: Tensor, level: float) -> Tensor:
    """Factor by which the effective strength of a synapse is reduced: 1 - level (1 - P).

    Parameters
    ----------
    survival
        Survival probabilities, of any shape.
    level
        Stress level.

    Returns
    -------
    Tensor
        Factors in [0, 1], of the shape of `survival`.

    Examples
    --------
    >>> attenuation(torch.tensor([1.0, 0.5, 0.0]), level=0.5)
    tensor([1.0000, 0.7500, 0.5000])
    """
    return 1 - level * (1 - survival)


def silence(survival: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Silence each cluster independently with probability level (1 - P).

    Akin to dropout with a rate of its own for each cluster; the strongest (P = 1) is never
    silenced.

    Parameters
    ----------
    survival
        Survival probabilities, of any shape.
    level
        Stress level.
    generator
        Generator on the CPU.

    Returns
    -------
    Tensor
        0 for silenced clusters, else 1; of the shape and type of `survival`.

    Examples
    --------
    >>> silence(torch.tensor([1.0, 0.0]), 1.0, torch.Generator().manual_seed(0))
    tensor([1., 0.])
    """
    drawn = torch.rand(survival.shape, generator=generator).to(survival.device, non_blocking=True)
    return (drawn >= level * (1 - survival)).to(survival.dtype)


def nested_width(step: int, onset: int, total_steps: int) -> float:
    """Width of the range of nested silence at a step.

    Parameters
    ----------
    step
        Number of optimizer steps taken.
    onset
        Step at which nested silence set in.
    total_steps
        Length of the stress phase in optimizer steps.

    Returns
    -------
    float
        1 at the onset, falling linearly to `NESTED_END` at the end of the phase.

    Examples
    --------
    >>> [round(nested_width(step, 20, 100), 2) for step in (20, 60, 100)]
    [1.0, 0.6, 0.2]
    """
    return 1 - (1 - NESTED_END) * (step - onset) / max(1, total_steps - onset)


def nested_silence(
    rank: Tensor, coming: int, level: float, generator: torch.Generator, width: float = 1.0
) -> Tensor:
    """With probability `level`, silence all but a random number of the strongest clusters.

    The number is drawn uniformly from a range around the number that will survive synthesis.
    Keeping the first of an ordered list is the idea of nested dropout (Rippel et al., arXiv
    1402.0915) and of slimmable networks (Yu and Huang, arXiv 1903.05134).

    Parameters
    ----------
    rank
        Rank of each cluster by strength, 0 for the strongest, of any shape.
    coming
        Number of clusters that will survive synthesis.
    level
        Stress level.
    generator
        Generator on the CPU.
    width
        Width of the range around `coming`: 1 gives `NESTED_RANGE`, 0 gives `coming` alone.

    Returns
    -------
    Tensor
        0 for silenced clusters, else 1; float, of the shape of `rank`. At least one cluster stays.

    Examples
    --------
    >>> nested_silence(torch.tensor([2, 0, 1]), 2, 1.0, torch.Generator().manual_seed(0), width=0.0)
    tensor([0., 1., 1.])
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
    """Factor by which a weight decays in one step; full stress for `total_steps` leaves 1 % of it.

    Parameters
    ----------
    survival
        Survival probabilities, of any shape.
    level
        Stress level.
    total_steps
        Length of the stress phase in optimizer steps.

    Returns
    -------
    Tensor
        Factors in (0, 1], of the shape of `survival`.

    Examples
    --------
    >>> weakening(torch.tensor([1.0, 0.5, 0.0]), level=1.0, total_steps=1)
    tensor([1.0000, 0.1000, 0.0100])
    """
    decay: Tensor = 0.01 ** (level * (1 - survival) / total_steps)
    return decay
