"""Importance by magnitude: the L1 norm of the weights."""

from __future__ import annotations

from .base import Importance


class Magnitude(Importance):
    """L1 norm of the weights of a cluster (Li et al., arXiv 1608.08710), as in NNI's L1NormPruner.

    Examples
    --------
    >>> Magnitude().norm
    1
    """

    name = "magnitude"
    norm = 1
