"""StressTuner, where registered environments and experiment files look for it; it lives in nni_stress.evolution."""

from .evolution.tuner import StressTuner

__all__ = ["StressTuner"]
