"""Genetics: from the strength of clusters to the survival of clusters. Pure functions on tensors.

In the spirit of the cluster-driven genetic encoding of Shafiee et al. (see README): the stronger a cluster in its
ancestor, the likelier it lives on in an offspring. Every random draw takes an explicit generator on the CPU, so that a
seed means the same on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def survival_probability(
    strength: Tensor, temperature: float, environmental_factor: float = 1.0
) -> Tensor:
    """P(c) = R exp((s_c / Z - 1) / tau), with Z the largest strength of the layer.

    Parameters
    ----------
    strength
        Strength of the clusters of one layer, any shape, not negative.
    temperature
        tau >= 0. At 0 only the strongest clusters have probability R, all others 0 (the limit of the formula).
    environmental_factor
        R in (0, 1].

    Returns
    -------
    Tensor
        Probabilities in [0, R], of the shape of `strength`. A layer of zero strength has probability R throughout.
    """
    largest = strength.max()
    deficit = torch.where(largest > 0, strength / largest - 1, torch.zeros_like(strength))
    if temperature == 0:
        return torch.where(deficit == 0, environmental_factor, torch.zeros_like(strength))
    return environmental_factor * torch.exp(deficit / temperature)


def gumbel_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise, float64, on the CPU."""
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_(min=torch.finfo(torch.float64).tiny)))


def perturbed_strength(strength: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Strength with noise, such that keeping its k largest entries draws k clusters WITHOUT replacement, in proportion to P.

    Keeping the k largest of log P + Gumbel noise is such a draw (Gumbel-top-k; Vieira 2014, Kool et al. 2019). Since
    log P is affine in the strength, Z tau times that sum is, up to a constant, s + Z tau Gumbel: it has the unit of the
    strength, so that thresholds and comparisons between layers keep their meaning, and tau = 0 gives the strength back.
    """
    return strength + strength.max() * temperature * noise.to(strength)


def bernoulli_survival(survival: Tensor, generator: torch.Generator) -> Tensor:
    """1 with probability P, independently, else 0: the literal draw of the evolutionary-synthesis line."""
    return (torch.rand(survival.shape, generator=generator).to(survival.device) < survival).to(
        survival.dtype
    )
