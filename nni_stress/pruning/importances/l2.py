"""Importance by the L2 norm of the weights."""

from __future__ import annotations

from .base import Importance


class L2(Importance):
    """L2 norm of the weights of a cluster, as in NNI's L2NormPruner.

    Examples
    --------
    >>> L2().norm
    2
    """

    name = "l2"
    norm = 2
