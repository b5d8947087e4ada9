"""Training and evaluation mode, module by module."""

from __future__ import annotations

from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(network: nn.Module):
    """Evaluation mode for a while; afterwards every module is in the mode it was in."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield network
    finally:
        for module, training in modes.items():
            module.training = training
