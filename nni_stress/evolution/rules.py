"""The rules of an evolution, and what follows from them for the next generation.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SHARE = 0.1  # tolerances up to this are taken to be meant for fidelities in [0, 1]


class Rules(NamedTuple):
    """The rules of one evolution.

    Parameters
    ----------
    generations
        Maximum number of generations after the founder.
    tolerance
        Loss of validation fidelity (accuracy or mAP) against the founder that a survivor may have.
    target_efficiency
        The evolution ends once a survivor uses this many times less of the resource than the
        founder; None: never. Efficiency beyond the target does not count: of the offspring that
        reach it, the one with the highest fidelity survives.
    patience
        How many generations in a row may fail. Each time the evolution returns to its last
        survivors, with a gentler environment.
    survivors
        Maximum number of survivors of one generation.
    resource
        The resource to save: "parameters", "macs" or "latency".
    constraints
        {resource: share of the founder's} that the final network must not exceed.

    Examples
    --------
    >>> sorted(Rules(generations=4, tolerance=0.01, constraints={"macs": 0.5}).resources())
    ['macs', 'parameters']
    """

    generations: int
    tolerance: float
    target_efficiency: float | None = None
    patience: int = 2
    survivors: int = 1
    resource: str = "parameters"
    constraints: Mapping[str, float] = {}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Rules:
        """The rules in a lineage's state.

        Raises
        ------
        KeyError
            If one is missing.
        """
        return cls(**{name: state[name] for name in cls._fields})

    def resources(self) -> set[str]:
        """All resources that matter to this evolution."""
        return {self.resource, *self.constraints}

    def warning(self, founder: float) -> str | None:
        r"""What to set if the tolerance seems to be meant for fidelities in [0, 1], else None.

        Parameters
        ----------
        founder
            Validation fidelity of the founder.

        Examples
        --------
        >>> rules = Rules(generations=4, tolerance=0.01)
        >>> rules.warning(0.93) is None
        True
        >>> print(rules.warning(93.0).replace(": ", ":\n"))
        the founder's fidelity is 93, but tolerance 0.01 suggests shares in [0, 1]:
        let Task.fidelity return a share, or set tolerance in the unit of fidelity
        """
        if 0 <= founder <= 1 or not 0 < self.tolerance <= SHARE:
            return None
        return (
            f"the founder's fidelity is {founder:g}, but tolerance {self.tolerance:g} suggests "
            "shares in [0, 1]: let Task.fidelity return a share, or set tolerance in the unit of "
            "fidelity"
        )


class Plan(NamedTuple):
    """What follows the generations so far.

    Parameters
    ----------
    ancestors
        Names of the coming generation's ancestors, the best first.
    gentleness
        How many generations in a row have failed; the environment is gentler by that many steps.
    end
        Why the evolution ends; None if it goes on.

    Examples
    --------
    >>> Plan(["g002-01"], gentleness=1, end=None).ancestors
    ['g002-01']
    """

    ancestors: list[str]
    gentleness: int
    end: str | None
