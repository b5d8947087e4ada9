"""Maturation: the last step of an evolution, a long training of its best networks.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..lineage.record import Record
from .rules import Rules
from .selection import line, rank


def to_mature(generations: Sequence[Sequence[Record]], rules: Rules, number: int) -> list[Record]:
    """The networks that mature: the best survivor, and those beyond it of the highest fidelity.

    Networks beyond it use no more of the resource than the best survivor. Their fidelity may lie
    below the tolerance, as a long training may make up for that. Of these, one is left out if
    another that is smaller has at least its validation fidelity.

    Parameters
    ----------
    generations
        Records of each generation that count, the founder's first.
    rules
        The rules of the evolution.
    number
        How many networks mature at most.

    Returns
    -------
    list
        The highest validation fidelity first; never the founder.

    Examples
    --------
    >>> founder = Record("g000-00", 0, None, {}, 0.9, 0.9, 1000, 5000, 1.0, None, {}, {})
    >>> small = founder._replace(uid="g001-00", ancestor="g000-00", synapses=250, validation=0.89)
    >>> smaller = small._replace(uid="g001-01", synapses=100, validation=0.8)
    >>> larger = small._replace(uid="g001-02", synapses=500, validation=0.9)
    >>> found = to_mature([[founder], [small, smaller, larger]], Rules(4, tolerance=0.01), 5)
    >>> [record.uid for record in found]
    ['g001-00', 'g001-01']
    """
    founder = generations[0][0]
    ranks = {
        record.uid: rank(record, founder, rules)
        for generation in generations
        for record in generation
    }
    least = ranks[line(generations, rules)[-1].uid]
    offspring = [
        record
        for generation in generations[1:]
        for record in generation
        if ranks[record.uid] >= least and ranks[record.uid] > ranks[founder.uid]
    ]
    leading = [
        record
        for record in offspring
        if not any(
            ranks[other.uid] > ranks[record.uid] and other.validation >= record.validation
            for other in offspring
        )
    ]
    return sorted(leading, key=lambda record: -record.validation)[:number]
