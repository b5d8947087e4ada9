"""Fitness, survival, and the end of an evolution: pure functions over records.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..lineage.record import Record
from ..resources import RESOURCES
from .contender import Contender
from .rules import Plan, Rules

_C = TypeVar("_C", bound=Contender)
_T = TypeVar("_T")


def used(record: Contender, founder: Contender, resource: str) -> float:
    """Share of the founder's resource that a network uses.

    Raises
    ------
    ValueError
        If it is latency, which was not measured.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> used(small, founder, "parameters"), used(small, founder, "macs")
    (0.25, 0.5)
    """
    return RESOURCES[resource].used(record, founder)


def excess(record: Contender, founder: Contender, rules: Rules) -> float:
    """By how much a network exceeds the constraints.

    Returns
    -------
    float
        Sum of the natural logarithms of used / allowed; 0 if all constraints are kept.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> round(excess(founder, founder, Rules(4, 0.01, constraints={"macs": 0.5})), 4)
    0.6931
    """
    return sum(
        max(0.0, math.log(used(record, founder, resource) / allowed))
        for resource, allowed in rules.constraints.items()
    )


def efficiency(record: Contender, founder: Contender, rules: Rules) -> float:
    """How many times less of the resource a network uses than the founder.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> efficiency(Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500), founder, Rules(4, 0.01))
    4.0
    """
    return 1 / used(record, founder, rules.resource)


def wanted_efficiency(record: Contender, founder: Contender, rules: Rules) -> float:
    """The efficiency, limited to the target efficiency if there is one.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> wanted_efficiency(small, founder, Rules(4, 0.01, target_efficiency=3.0))
    3.0
    """
    return min(efficiency(record, founder, rules), rules.target_efficiency or math.inf)


def fitness(record: Record, ancestor: Contender, founder: Contender, rules: Rules) -> float:
    """Fitness of an offspring, from which the search learns.

    Logarithm of the gain in efficiency, plus the progress towards the constraints, minus the loss
    of fidelity in units of the tolerance (0.01 if the tolerance is 0). All terms are relative to
    the ancestor, so fitness compares across generations. If the recovery ended early, its forecast
    counts: otherwise a merely less efficient offspring would look inaccurate to the search.

    Parameters
    ----------
    record
        Of the offspring.
    ancestor, founder
        Of its ancestor and of the founder.
    rules
        The rules of the evolution.

    Examples
    --------
    Four times fewer synapses, and a loss of half the tolerance:

    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", ancestor="g000-00", synapses=250, validation=0.895)
    >>> round(fitness(small, founder, founder, Rules(4, tolerance=0.01)), 4)  # log(4) - 0.5
    0.8863
    """
    validation = record.validation if record.forecast is None else record.forecast
    gain = math.log(
        wanted_efficiency(record, founder, rules) / wanted_efficiency(ancestor, founder, rules)
    )
    progress = excess(ancestor, founder, rules) - excess(record, founder, rules)
    return gain + progress - (ancestor.validation - validation) / (rules.tolerance or 0.01)


def faithful(record: Contender, founder: Contender, tolerance: float) -> bool:
    """Whether a network keeps the founder's validation fidelity within the tolerance.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> faithful(Candidate("g001-00", 1, "g000-00", 0.88, 250, 2500), founder, tolerance=0.02)
    True
    """
    return record.validation >= founder.validation - tolerance - 1e-9  # for rounding


def rank(record: Contender, founder: Contender, rules: Rules) -> tuple[float, float]:
    """The key by which survivors are chosen, larger being better: constraints, then efficiency.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> few_synapses = Candidate("g001-00", 1, "g000-00", 0.89, 100, 5000)
    >>> few_macs = Candidate("g001-01", 1, "g000-00", 0.89, 500, 2500)
    >>> rules = Rules(4, 0.01, constraints={"macs": 0.5})
    >>> rank(few_macs, founder, rules) > rank(few_synapses, founder, rules)
    True
    """
    return -round(excess(record, founder, rules), 9), wanted_efficiency(record, founder, rules)


def select(
    generation: Sequence[_C], ancestors: Sequence[Contender], founder: Contender, rules: Rules
) -> list[_C]:
    """The survivors of a generation.

    Survivors are the best of the faithful offspring that improve on their ancestor; among equals,
    those with the higher fidelity. The generation fails, and has none, unless its best improves on
    all ancestors.

    Parameters
    ----------
    generation
        All offspring of the generation.
    ancestors
        The ancestors among which they were to be drawn.
    founder
        The founder.
    rules
        The rules of the evolution.

    Returns
    -------
    list
        The best first.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> unfaithful = Candidate("g001-01", 1, "g000-00", 0.7, 100, 1000)
    >>> [one.uid for one in select([small, unfaithful], [founder], founder, Rules(4, 0.01))]
    ['g001-00']
    """
    ancestor_of = {ancestor.uid: ancestor for ancestor in ancestors}

    def improves(offspring: Contender, ancestor: Contender | None) -> bool:
        return ancestor is not None and (
            rank(offspring, founder, rules) > rank(ancestor, founder, rules)
        )

    good = sorted(
        (
            offspring
            for offspring in generation
            if faithful(offspring, founder, rules.tolerance)
            and improves(offspring, ancestor_of.get(offspring.ancestor or ""))
        ),
        key=lambda offspring: (
            *rank(offspring, founder, rules),
            offspring.validation,
            offspring.uid,
        ),
        reverse=True,
    )
    if good and all(improves(good[0], ancestor) for ancestor in ancestors):
        return good[: rules.survivors]
    return []


def select_matured(matured: Sequence[_C], founder: Contender, rules: Rules) -> list[_C]:
    """The survivors of a maturation: the faithful ones, the best first.

    None has to improve on its ancestor, whose architecture it has.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g002-00", 2, "g001-00", 0.89, 250, 2500, matured=True)
    >>> [one.uid for one in select_matured([small], founder, Rules(4, tolerance=0.01))]
    ['g002-00']
    """
    good = [one for one in matured if faithful(one, founder, rules.tolerance)]
    good.sort(key=lambda one: (*rank(one, founder, rules), one.validation), reverse=True)
    return good[: rules.survivors]


def by_generation(records: Sequence[_C]) -> list[list[_C]]:
    """Group records by generation, the founder's first.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> [len(generation) for generation in by_generation([founder])]
    [1]
    """
    last = max((record.generation for record in records), default=-1)
    return [
        [record for record in records if record.generation == number] for number in range(last + 1)
    ]


def survivors(generations: Sequence[Sequence[_C]], rules: Rules) -> list[list[_C]]:
    """The founder, then the survivors of each generation.

    Parameters
    ----------
    generations
        Records of each generation, the founder's first.
    rules
        The rules of the evolution.

    Returns
    -------
    list
        For each generation its survivors, the best first; an empty list if it failed. A last
        generation may be a maturation.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> unfaithful = Candidate("g002-00", 2, "g001-00", 0.7, 100, 1000)
    >>> found = survivors([[founder], [small], [unfaithful]], Rules(4, 0.01))
    >>> [[best.uid for best in generation] for generation in found]
    [['g000-00'], ['g001-00'], []]
    """
    founder = generations[0][0]
    found = [[founder]]
    ancestors = [founder]
    for generation in generations[1:]:
        if generation and all(one.matured for one in generation):
            found.append(select_matured(generation, founder, rules))
        else:
            found.append(select(generation, ancestors, founder, rules))
        ancestors = found[-1] or ancestors
    return found


def line(generations: Sequence[Sequence[_C]], rules: Rules) -> list[_C]:
    """The founder and the best survivor of each generation that had one.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> small = Candidate("g001-00", 1, "g000-00", 0.89, 250, 2500)
    >>> [best.uid for best in line([[founder], [small]], Rules(4, 0.01))]
    ['g000-00', 'g001-00']
    """
    return [best[0] for best in survivors(generations, rules) if best]


def plan(generations: Sequence[Sequence[Contender]], rules: Rules) -> Plan:
    """What follows the generations so far.

    Parameters
    ----------
    generations
        Records of the generations that ended, the founder's first, without the offspring that were
        lost.
    rules
        The rules of the evolution.

    Examples
    --------
    >>> from nni_stress.evolution.contender import Candidate
    >>> founder = Candidate("g000-00", 0, None, 0.9, 1000, 5000)
    >>> plan([[founder]], Rules(generations=4, tolerance=0.01))
    Plan(ancestors=['g000-00'], gentleness=0, end=None)
    """
    founder = generations[0][0]
    ancestors = [best for best in survivors(generations, rules) if best][-1]
    failed = len(generations) - 1 - ancestors[0].generation
    return Plan(
        [record.uid for record in ancestors],
        failed,
        _end(ancestors[0], founder, len(generations) - 1, failed, rules),
    )


def _end(
    best: Contender, founder: Contender, generations: int, failed: int, rules: Rules
) -> str | None:
    """Why an evolution ends after these generations, the last of which failed, or None."""
    reached = efficiency(best, founder, rules)
    target = rules.target_efficiency
    if excess(best, founder, rules) == 0:
        if target is not None and reached >= target:
            return f"target efficiency reached: {reached:.1f}x"
        if target is None and rules.constraints:
            return f"all constraints are kept, at {reached:.1f}x"
    if generations >= rules.generations:
        return f"all {rules.generations} generations done"
    if failed > rules.patience:
        return f"no gentler environment helped in {failed} generations"
    return None


def frontier(records: Sequence[Record]) -> list[Record]:
    """The Pareto frontier of validation fidelity and efficiency, the most efficient first.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", efficiency=4.0, validation=0.8)
    >>> worse = founder._replace(uid="g001-01", efficiency=2.0, validation=0.7)
    >>> [record.uid for record in frontier([founder, small, worse])]
    ['g001-00', 'g000-00']
    """
    return unbeaten(records, lambda record: (record.efficiency, record.validation))


def unbeaten(items: Sequence[_T], place: Callable[[_T], tuple[float, float]]) -> list[_T]:
    """The items that no other one beats in both efficiency and fidelity, the most efficient first.

    Parameters
    ----------
    items
        The items.
    place
        Gives (efficiency, fidelity) of an item.

    Examples
    --------
    >>> unbeaten([(1, 0.9), (4, 0.8), (2, 0.7)], tuple)
    [(4, 0.8), (1, 0.9)]
    """
    kept = []
    best = -math.inf
    for item in sorted(items, key=lambda item: tuple(-value for value in place(item))):
        if place(item)[1] > best:
            kept.append(item)
            best = place(item)[1]
    return kept
