"""From the strength of clusters to their survival: pure functions on tensors.

They follow the idea of the cluster-driven genetic encoding (Shafiee and Wong, arXiv 1609.01360):
the stronger a cluster (output channel or neuron) is in the ancestor, the likelier it survives in
the offspring. Every random draw takes a generator on the CPU, so that a seed gives the same draw on
every device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def survival_probability(
    strength: Tensor, temperature: float, environmental_factor: float = 1.0
) -> Tensor:
    """Survival probability of each cluster: P(c) = R exp((s_c / Z - 1) / tau).

    Z is the largest strength of the layer. The formula is this project's own, after the idea of
    synaptic probability models (Shafiee et al., arXiv 1606.04393).

    Parameters
    ----------
    strength
        Strengths s_c of the clusters of one layer, of any shape, not negative.
    temperature
        tau >= 0. At 0 only the strongest clusters have probability R, and all others 0, which is
        the limit of the formula.
    environmental_factor
        R in (0, 1].

    Returns
    -------
    Tensor
        Probabilities in [0, R], of the shape of `strength`. If all strengths are zero, every
        cluster has probability R.

    Examples
    --------
    >>> survival_probability(torch.tensor([2.0, 1.0, 0.0]), temperature=0.5)
    tensor([1.0000, 0.3679, 0.1353])
    """
    largest = strength.max()
    deficit = torch.where(largest > 0, strength / largest - 1, torch.zeros_like(strength))
    if temperature == 0:
        return torch.where(deficit == 0, environmental_factor, torch.zeros_like(strength))
    return environmental_factor * torch.exp(deficit / temperature)


def gumbel_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise for :func:`perturbed_strength`.

    Parameters
    ----------
    shape
        Shape of the result.
    generator
        Generator on the CPU.

    Returns
    -------
    Tensor
        Independent draws, float64, on the CPU.

    Examples
    --------
    >>> gumbel_noise(torch.Size([3]), torch.Generator().manual_seed(0)).dtype
    torch.float64
    """
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return -torch.log(-torch.log(uniform.clamp_(min=torch.finfo(torch.float64).tiny)))


def perturbed_strength(strength: Tensor, temperature: float, noise: Tensor) -> Tensor:
    """Add noise to strengths, so that keeping the k largest draws k clusters by their probability.

    Keeping the k largest values of log P + Gumbel noise draws k clusters without replacement, in
    proportion to P (Gumbel-top-k: Kool et al., arXiv 1903.06059). As log P is affine in the
    strength, that sum times Z tau equals s + Z tau noise up to a constant. This form keeps the unit
    of the strength, so that thresholds and comparisons between layers stay meaningful.

    Parameters
    ----------
    strength
        Strengths of the clusters of one layer, of any shape, not negative.
    temperature
        tau >= 0, as in :func:`survival_probability`; at 0 the strengths are returned unchanged.
    noise
        Standard Gumbel noise of the shape of `strength`.

    Returns
    -------
    Tensor
        Perturbed strengths, of the shape and type of `strength`.

    Examples
    --------
    >>> perturbed_strength(torch.tensor([2.0, 1.0]), 0.5, torch.tensor([0.0, 1.5]))
    tensor([2.0000, 2.5000])
    """
    return strength + strength.max() * temperature * noise.to(strength)


def drawn_strength(strength: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Strengths with noise drawn for them; a copy, and nothing drawn, at a temperature of 0.

    Parameters and result are those of :func:`perturbed_strength`; `generator` is one on the CPU.

    Examples
    --------
    >>> drawn_strength(torch.tensor([2.0, 1.0]), 0.0, torch.Generator())
    tensor([2., 1.])
    """
    if not temperature:
        return strength.clone()
    noise = gumbel_noise(strength.shape, generator)
    return perturbed_strength(strength, temperature, noise)


def bernoulli_survival(survival: Tensor, generator: torch.Generator) -> Tensor:
    """Draw independently for every cluster whether it survives.

    This is the plain draw of evolutionary synthesis (Shafiee et al., arXiv 1606.04393): the number
    of survivors varies from draw to draw.

    Parameters
    ----------
    survival
        Survival probability of each cluster, of any shape.
    generator
        Generator on the CPU.

    Returns
    -------
    Tensor
        1 for clusters that survive, else 0; of the shape and type of `survival`.

    Examples
    --------
    >>> bernoulli_survival(torch.tensor([1.0, 0.0]), torch.Generator().manual_seed(0))
    tensor([1., 0.])
    """
    drawn = torch.rand(survival.shape, generator=generator).to(survival.device) < survival
    return drawn.to(survival.dtype)
