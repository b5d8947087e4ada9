"""An evolution that spends a given training on a network of a given size.

How the training is divided was measured: ``reports/division``. This module imports neither torch
nor NNI.
"""

from __future__ import annotations

import math
from typing import Any

from .search_space import fixed

SEARCH = 1 / 12  # share of the epochs that all offspring take together; the rest matures the best
_OFFSPRING = 4
_STRESSED = 0.5  # share of an offspring's epochs that its ancestor trains under stress
# Highest learning rates over the founder's: small networks take more, and a brief training as well.
_OFFSPRING_RATE = 2.0
_MATURATION_RATE = 4.0


def for_budget(
    times: float, epochs: float, learning_rate: float = 2e-3, screening: bool = True
) -> dict[str, Any]:
    """Arguments of :func:`nni_stress.evolve` for one budget of size, and one of training.

    Four offspring of the whole size allowed are made, which differ in how they divide it among
    layers: by importance per cost, or equally, each with architectures bred around it or without.
    Each trains briefly. The one with the highest validation fidelity takes the rest of the epochs.

    Parameters
    ----------
    times
        How many times less of the resource the network is to use than the founder.
    epochs
        Epochs of training in all, that of the founder aside.
    learning_rate
        The founder's highest.
    screening
        Whether the task has `screening`, on which architectures are judged while they are bred.

    Returns
    -------
    dict
        ``space`` and arguments of :class:`nni_stress.StressTuner`.

    Raises
    ------
    ValueError
        If `times` is not above 1, or `epochs` or `learning_rate` is not above 0.

    Examples
    --------
    >>> arguments = for_budget(times=10, epochs=12)
    >>> arguments["target_efficiency"], arguments["maturation_epochs"]
    (10, 11.0)
    >>> arguments["space"]["stress_epochs"]["_value"]
    [0.125]
    """
    for name, value, least in (
        ("times", times, 1),
        ("epochs", epochs, 0),
        ("learning_rate", learning_rate, 0),
    ):
        if type(value) not in (int, float) or not least < value < math.inf:
            raise ValueError(f"{name} must be a number above {least}, but got {value!r}")
    each = epochs * SEARCH / _OFFSPRING
    settings = {
        "environmental_factor": 1 / times,
        "temperature": 0.0,
        "stress_epochs": round(_STRESSED * each, 6),
        "recovery_epochs": round((1 - _STRESSED) * each, 6),
        "learning_rate": _OFFSPRING_RATE * learning_rate,
    }
    allocations = (
        {"redundancy": [1.0, 20.0], "candidates": [1, 200]}
        if screening
        else {"redundancy": [1.0, 4.0, 8.0, 20.0]}
    )
    choices = {name: {"_type": "choice", "_value": values} for name, values in allocations.items()}
    return {
        "generations": 1,
        "population_size": _OFFSPRING,
        "search": "GridSearch",  # every combination once
        "tolerance": 1.0,  # any loss of an accuracy: the best within the budget survives
        "target_efficiency": times,
        "maturation_epochs": round(epochs * (1 - SEARCH), 6),
        "maturation_learning_rate": _MATURATION_RATE * learning_rate,
        "space": {**fixed(settings), **choices},
    }
