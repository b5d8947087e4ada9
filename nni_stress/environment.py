"""The environment: how the resources an offspring may use are shared out over its clusters. Pure functions."""
from __future__ import annotations

import math


def cluster_ratio(environmental_factor: float) -> float:
    """Share of its clusters that each layer keeps, so that about `environmental_factor` of the synapses remain.

    A synapse lies between a cluster and one of the layer before: with a share k of both, k squared of them remain.
    """
    return math.sqrt(environmental_factor)
