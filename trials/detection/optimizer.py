"""The optimizer of detectors."""

from __future__ import annotations

from torch.nn.utils import clip_grad_norm_

from nni_stress import FusedAdam

LARGEST = 20.0  # norm of all gradients; training seldom exceeds it after its first steps


class ClippedAdam(FusedAdam):
    """Adam, with gradients clipped to a norm: the logarithm of a box's size can be far off, and its square is the loss."""

    def step(self, closure=None):
        clip_grad_norm_(
            [parameter for group in self.param_groups for parameter in group["params"]], LARGEST
        )
        return super().step(closure)
