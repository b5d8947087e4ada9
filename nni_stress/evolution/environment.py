"""The environment of an offspring: its ancestors, and the share of their resources it may use.

Pure functions. This module imports neither torch nor NNI.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..resources import RESOURCES
from ..utils.seeding import seed_of
from .contender import Contender
from .rules import Rules
from .selection import excess, used


def draw_ancestors(ancestors: Sequence[str], parents: int, seed: int, uid: str) -> list[str]:
    """Draw the ancestors of one offspring among the survivors, without replacement.

    Parameters
    ----------
    ancestors
        Names of the survivors, the best first.
    parents
        Number of ancestors of an offspring; there are fewer if fewer survived.
    seed, uid
        The evolution's seed and the offspring's name, which determine the draw.

    Returns
    -------
    list
        The names that were drawn, the best first.

    Examples
    --------
    >>> draw_ancestors(["g001-03"], 2, 0, "g002-00")
    ['g001-03']
    """
    drawn = random.Random(seed_of(seed, uid, "ancestors")).sample(
        range(len(ancestors)), min(parents, len(ancestors))
    )
    return [ancestors[index] for index in sorted(drawn)]


def gentler(environmental_factor: float, gentleness: int) -> float:
    """The environmental factor after some failed generations, each of which takes its square root.

    Examples
    --------
    >>> gentler(0.25, 1)
    0.5
    """
    return float(environmental_factor ** (0.5**gentleness))


def limit_to_target(
    environmental_factor: float, ancestors: Sequence[Contender], founder: Contender, rules: Rules
) -> float:
    """The environmental factor, or the larger one that reaches exactly the target efficiency.

    Parameters
    ----------
    environmental_factor
        As the search suggests it.
    ancestors
        Of one offspring.
    founder
        The founder.
    rules
        The rules of the evolution. While a constraint is exceeded the target does not limit.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> rules = Rules(4, 0.01, target_efficiency=2.0)
    >>> limit_to_target(0.3, [founder], founder, rules)
    0.5
    """
    if rules.target_efficiency is None or any(
        excess(ancestor, founder, rules) for ancestor in ancestors
    ):
        return environmental_factor
    uses = mean_used(ancestors, founder, rules.resource)
    return min(1.0, max(environmental_factor, 1 / (rules.target_efficiency * uses)))


def constrained_shares(
    environmental_factor: float, ancestors: Sequence[Contender], founder: Contender, rules: Rules
) -> dict[str, float]:
    """Shares of its ancestors' constrained resources that an offspring may use.

    A resource that exceeds its constraint becomes scarce, but no scarcer than the resource that is
    saved; of others all may be used. Latency is left to selection, because a latency budget cannot
    be combined with another one.

    Parameters
    ----------
    environmental_factor
        Share of the resource that is saved.
    ancestors
        Of one offspring.
    founder
        The founder.
    rules
        The rules of the evolution.

    Returns
    -------
    dict
        {resource: share of the ancestors' mean}.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> rules = Rules(4, 0.01, constraints={"macs": 0.4})
    >>> constrained_shares(0.25, [founder], founder, rules)
    {'macs': 0.4}
    >>> constrained_shares(0.5, [founder], founder, rules)
    {'macs': 0.5}
    """
    if RESOURCES[rules.resource].measured:
        return {}
    return {
        resource: min(
            1.0, max(environmental_factor, allowed / mean_used(ancestors, founder, resource))
        )
        for resource, allowed in sorted(rules.constraints.items())
        if resource != rules.resource and not RESOURCES[resource].measured
    }


def mean_used(ancestors: Sequence[Contender], founder: Contender, resource: str) -> float:
    """Mean share of the founder's resource that some networks use.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> mean_used([founder, small], founder, "parameters")
    0.625
    """
    return sum(used(ancestor, founder, resource) for ancestor in ancestors) / len(ancestors)
