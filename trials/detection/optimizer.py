"""Optimizer of detectors."""

from __future__ import annotations

from collections.abc import Callable

from torch.nn.utils import clip_grad_norm_

from nni_stress import FusedAdam

MAX_GRADIENT_NORM = 20.0  # training seldom exceeds it after its first steps


class ClippedAdam(FusedAdam):
    """Adam that clips the norm of all gradients to 20.

    The loss is quadratic in the logarithm of a box's size, which can be far off at first.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Clip the gradients, and take a step of Adam."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        return super().step(closure)
