"""Stress: how strong it is at a step of training, and what a synapse feels of it. Pure functions."""
from __future__ import annotations

from torch import Tensor


def stress_level(step: int, total_steps: int, peak: float, onset: float, ramp: float) -> float:
    """Stress level sigma(t): 0 before the onset, then a linear ramp to the peak, held to the end.

    Parameters
    ----------
    step
        Optimizer steps done so far.
    total_steps
        Length of the stress phase, in steps.
    peak
        Highest level, in [0, 1].
    onset, ramp
        Length of the calm before stress, and of its rise, as shares of `total_steps`.
    """
    since = step - onset * total_steps
    if since < 0 or peak == 0:
        return 0.0
    rise = ramp * total_steps
    return peak if since >= rise else peak * since / rise


def attenuation(survival: Tensor, level: float) -> Tensor:
    """Factor of a synapse's effective strength under stress: 1 - level (1 - P), of the shape of `survival`."""
    return 1 - level * (1 - survival)
