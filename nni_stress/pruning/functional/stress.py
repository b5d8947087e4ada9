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

# At a width of 1, the range of nested silence begins at this share of the number that will survive.
NESTED_LEAST = 0.4
_LEAST_SURVIVAL = 1e-30


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


def nested_range(coming: int, present: int, width: float) -> tuple[int, int]:
    """Least and largest number of clusters that nested silence keeps.

    Parameters
    ----------
    coming
        Number of clusters that will survive synthesis, at least 1.
    present
        Number of clusters that are there now.
    width
        Width of the range, in [0, 1], on a logarithmic scale. 0: `coming` alone. 1: from
        `NESTED_LEAST` of `coming` to `present`.

    Returns
    -------
    (int, int)
        coming * 0.4 ** width and coming * (present / coming) ** width, rounded; at least 1.

    Examples
    --------
    >>> [nested_range(10, 90, width) for width in (0.0, 0.5, 1.0)]
    [(10, 10), (6, 30), (4, 90)]
    """
    low = coming * NESTED_LEAST**width
    high = coming * (present / coming) ** width
    return max(1, int(low + 0.5)), max(1, int(high + 0.5))


def nested_silence(
    rank: Tensor, coming: int, present: int, level: float, width: float, generator: torch.Generator
) -> Tensor:
    """With probability `level`, silence all but a random number of the strongest clusters.

    The number is log-uniform over the whole numbers of :func:`nested_range`: k is drawn in
    proportion to log(k + 1) - log(k), so that a range of 10 to 20 is as likely as one of 20 to 40.
    Keeping the first of an ordered list is the idea of nested dropout (Rippel et al., arXiv
    1402.0915) and of slimmable networks (Yu and Huang, arXiv 1903.05134).

    Parameters
    ----------
    rank
        Rank of each cluster by strength, 0 for the strongest, of any shape.
    coming, present, width
        As for :func:`nested_range`.
    level
        Stress level.
    generator
        Generator on the CPU.

    Returns
    -------
    Tensor
        0 for silenced clusters, else 1; float, of the shape of `rank`. At least one cluster stays.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> nested_silence(torch.tensor([2, 0, 1]), 2, 3, 1.0, width=0.0, generator=generator)
    tensor([0., 1., 1.])
    """
    if torch.rand((), generator=generator) >= level:
        return torch.ones(rank.shape, device=rank.device)
    low, high = nested_range(coming, present, width)
    place = float(torch.rand((), generator=generator, dtype=torch.float64))
    kept = min(high, int(low * ((high + 1) / low) ** place))
    return (rank < kept).float()


def presence(survival: Tensor, there: Tensor, coming: int, level: float) -> Tensor:
    """Probability that a cluster is present at a step: 1 - level (1 - F P).

    At the full level, every step draws a network as evolutionary synthesis draws an offspring: each
    cluster by itself, with its survival probability times an environmental factor (the idea of
    Shafiee et al., arXiv 1606.04393). That stress is such a factor is this project's own reading of
    StressedNets. So is F: the environmental factor (`coming` / number of clusters) over the mean of
    P, so that `coming` clusters are expected. Where F P would exceed 1, it is 1, and F is larger
    for the others in return. The strongest cluster is always present.

    Parameters
    ----------
    survival
        Survival probability P of each cluster, of any shape.
    there
        Whether each cluster is there; those that earlier generations removed are never present.
    coming
        Number of clusters that will survive synthesis, at least 1.
    level
        Stress level; at 0, every cluster is present.

    Returns
    -------
    Tensor
        Probabilities in [0, 1], of the shape of `survival`, float64.

    Examples
    --------
    >>> survival = torch.tensor([1.0, 0.5, 0.25, 0.25])
    >>> presence(survival, survival > 0, coming=2, level=1.0)
    tensor([1.0000, 0.5000, 0.2500, 0.2500], dtype=torch.float64)
    """
    # in the limit of P -> 0, so that as many are expected where more must come than have P > 0
    chance = survival.double().clamp(min=_LEAST_SURVIVAL).where(there, 0.0).flatten()
    ordered, order = chance.sort(descending=True, stable=True)
    rest = ordered.flip(0).cumsum(0).flip(0)  # the sum over each cluster and all weaker ones
    place = torch.arange(len(ordered), device=order.device)
    left = (coming - place).clamp(min=0)  # for the others, where all stronger ones are certain
    fits = (left * ordered <= rest) & (place > 0)  # the strongest is certain in any case
    certain = fits.long().argmax()
    # an index in brackets would wait for a GPU
    factor = left.take(certain) / rest.take(certain).clamp(min=_LEAST_SURVIVAL)
    full = torch.where(place < certain, 1.0, (factor * ordered).clamp(max=1))
    expected = torch.empty_like(full).scatter_(0, order, full).view(survival.shape)
    return (1 - level * (1 - expected)) * there


def survival_draw(
    survival: Tensor, there: Tensor, coming: int, level: float, generator: torch.Generator
) -> Tensor:
    """Draw for each cluster independently whether it is present, see :func:`presence`.

    Parameters
    ----------
    survival, there, coming, level
        As for :func:`presence`.
    generator
        Generator on the CPU.

    Returns
    -------
    Tensor
        1 for clusters that are present, else 0; of the shape and type of `survival`.

    Examples
    --------
    >>> survival = torch.tensor([1.0, 0.5, 0.0])
    >>> survival_draw(survival, survival >= 0, 1, 1.0, torch.Generator().manual_seed(0))
    tensor([1., 0., 0.])
    """
    drawn = torch.rand(survival.shape, generator=generator, dtype=torch.float64)
    probability = presence(survival, there, coming, level)
    return (drawn.to(survival.device, non_blocking=True) < probability).to(survival.dtype)


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
