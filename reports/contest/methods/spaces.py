"""Hyperparameters of the rivals: all that their users would tune, but the learning rate."""

from __future__ import annotations

from typing import Any

_Space = dict[str, dict[str, Any]]  # of NNI, by hyperparameter

NORMS = ("L1NormPruner", "L2NormPruner", "FPGMPruner")
# One ratio for every layer, or one ranking of all clusters.
SCOPE: dict[str, Any] = {"_type": "choice", "_value": ["uniform", "global"]}
# Share of the steps that are taken before the network is made small.
_SHARE: dict[str, Any] = {"_type": "choice", "_value": [0.1, 0.25, 0.5]}
# In how many stages the network is made small, with training after each.
_STAGES: dict[str, Any] = {"_type": "choice", "_value": [1, 3]}
_SCALE: dict[str, Any] = {"_type": "loguniform", "_value": [0.0001, 1.0]}
_ONCE: _Space = {"scope": SCOPE, "stages": _STAGES}
_BASE: dict[str, Any] = {"_type": "choice", "_value": [*NORMS]}
_SCHEDULE: _Space = {"scope": SCOPE, "share": _SHARE, "base": _BASE}

SPACES: dict[str, _Space] = {
    "RandomPruner": _ONCE,
    **dict.fromkeys(NORMS, _ONCE),
    "TaylorPruner": {**_ONCE, "share": _SHARE},
    "SlimPruner": {**_ONCE, "share": _SHARE, "regular_scale": _SCALE},
    "MovementPruner": {"share": _SHARE},
    "LinearPruner": _SCHEDULE,
    "AGPPruner": _SCHEDULE,
    "LevelPruner": {"scope": SCOPE},
}
# Torch-Pruning's methods have the same.
TORCH_PRUNING: _Space = {"scope": SCOPE}
