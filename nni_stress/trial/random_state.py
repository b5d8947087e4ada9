"""The states of the global random generators that a training may draw from."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_state() -> dict[str, Any]:
    """The states of the global generators of torch (all devices), Python and numpy, as plain data.

    Examples
    --------
    >>> state = random_state()
    >>> drawn = random.random(), np.random.rand(), torch.rand(2)
    >>> restore_random_state(state)
    >>> random.random() == drawn[0], np.random.rand() == drawn[1], torch.rand(2) == drawn[2]
    (True, True, tensor([True, True]))
    """
    kind, key, position, *gauss = np.random.get_state()
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (str(kind), np.asarray(key).tolist(), int(position), *map(float, gauss)),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Set the global generators to what `random_state` returned.

    Parameters
    ----------
    state
        The states.
    """
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, key, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((kind, key, position, int(has_gauss), gauss))
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
