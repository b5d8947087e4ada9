"""StressTuner, under the name that registered environments and experiment files use."""

from .evolution.tuner import StressTuner

__all__ = ["StressTuner"]
