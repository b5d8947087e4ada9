"""Shapes of a rise from 0 to 1, by name. Imports no torch, so that settings can list the names."""

from __future__ import annotations

import math
from collections.abc import Callable

# Cubic as in automated gradual pruning (Zhu and Gupta, arXiv 1710.01878).
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda progress: progress,
    "cubic": lambda progress: 1 - (1 - progress) ** 3,
    "cosine": lambda progress: (1 - math.cos(math.pi * progress)) / 2,
}
