"""An evolution that spends a given training on a network of a given size.

How the training is divided was measured: ``reports/division``; its rate by the contest's pilot,
``reports/contest/pilot.py``. This module imports neither torch nor NNI.
"""

from __future__ import annotations

import math
from typing import Any

from .search_space import fixed

STRESS = 0.1  # share of the epochs that the founder trains under stress; the rest is maturation
RATE = 2.0  # highest learning rate over the founder's: small networks take more
_CANDIDATES = 200


def for_budget(times: float, epochs: float, learning_rate: float = 2e-3) -> dict[str, Any]:
    """Arguments of :func:`nni_stress.evolve` for one budget of size, and one of training.

    The founder trains under stress for a tenth of the epochs. Then 200 architectures that meet the
    budget are bred, judged untrained on the task's `screening`; the best is synthesized and takes
    the rest of the epochs.

    Parameters
    ----------
    times
        How many times less of the resource the network is to use than the founder.
    epochs
        Epochs of training in all, that of the founder aside.
    learning_rate
        The founder's highest.

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
    >>> arguments = for_budget(times=10, epochs=20)
    >>> arguments["target_efficiency"], arguments["maturation_epochs"]
    (10, 18.0)
    >>> arguments["space"]["stress_epochs"]["_value"]
    [2.0]
    """
    for name, value, least in (
        ("times", times, 1),
        ("epochs", epochs, 0),
        ("learning_rate", learning_rate, 0),
    ):
        if type(value) not in (int, float) or not least < value < math.inf:
            raise ValueError(f"{name} must be a number above {least}, but got {value!r}")
    settings = {
        "environmental_factor": 1 / times,
        "stress_epochs": round(STRESS * epochs, 6),
        "recovery_epochs": 0.0,
        "learning_rate": RATE * learning_rate,  # of the maturation, too
        "temperature": 0.0,
        "candidates": _CANDIDATES,
        "redundancy": 1.0,  # breeding starts from importance per cost, and finds what to even out
    }
    return {
        "generations": 1,
        "population_size": 1,
        "tolerance": 1.0,  # any loss of an accuracy, as the training that counts comes later
        "target_efficiency": times,
        "maturation_epochs": round((1 - STRESS) * epochs, 6),
        "space": fixed(settings),
    }
