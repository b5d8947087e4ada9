"""Values of attributes for which the sizes that a program uses are right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .counts import Count, Demand
from .sizes import Attribute, evaluate, leaves

ROUNDS = 8


class UnmetError(ValueError):
    """A demand that no values of attributes meet.

    Parameters
    ----------
    demand
        The demand.
    """

    def __init__(self, demand: Demand):
        super().__init__(f"no attribute makes it right: {demand.reason}")
        self.demand = demand


def attributes_of(demand: Demand) -> list[Attribute]:
    """The attributes that a demand depends on, in the order in which the program used them."""
    found = [leaf for leaf in leaves(demand.expression) if isinstance(leaf, Attribute)]
    return list(dict.fromkeys(found))


def solve(
    demands: Iterable[Demand], gone: NDArray[np.bool_], value_of: Callable[[Attribute], int]
) -> dict[Attribute, int]:
    """Find values of attributes for which all demands are met.

    Parameters
    ----------
    demands
        What must hold.
    gone
        The clusters that are removed.
    value_of
        The present values of attributes.

    Returns
    -------
    dict
        New values of the attributes that change.

    Raises
    ------
    UnmetError
        If a demand cannot be met.
    """
    demands = list(demands)
    changed: dict[Attribute, int] = {}
    for _ in range(ROUNDS):
        unmet = [d for d in demands if _value(d, gone, value_of, changed) != _wanted(d, gone)]
        if not unmet:
            return changed
        for demand in sorted(unmet, key=lambda d: len(attributes_of(d))):
            _meet(demand, gone, value_of, changed)
    raise UnmetError(unmet[0])


def _meet(
    demand: Demand,
    gone: NDArray[np.bool_],
    value_of: Callable[[Attribute], int],
    changed: dict[Attribute, int],
) -> None:
    """Change one attribute that has not been changed yet, so that a demand is met."""
    wanted = _wanted(demand, gone)
    if _value(demand, gone, value_of, changed) == wanted:
        return
    for attribute in attributes_of(demand):
        if attribute in changed:
            continue
        before = value_of(attribute)
        for value in _candidates(before, demand, wanted):
            if _value(demand, gone, value_of, {**changed, attribute: value}) == wanted:
                changed[attribute] = value
                return
    raise UnmetError(demand)


def _candidates(before: int, demand: Demand, wanted: float) -> Iterable[int]:
    """Values of an attribute to try, likely ones first."""
    if isinstance(demand.wanted, Count):
        yield round(before * wanted / max(len(demand.wanted.labels), 1))
    yield from range(before, 0, -1)


def _value(
    demand: Demand,
    gone: NDArray[np.bool_],
    value_of: Callable[[Attribute], int],
    changed: Mapping[Attribute, int],
) -> Any:
    def current(leaf: Any) -> int:
        return changed[leaf] if leaf in changed else value_of(leaf)

    try:
        return evaluate(_with_counts(demand.expression, gone), current)
    except ZeroDivisionError:
        return None


def _with_counts(expression: Any, gone: NDArray[np.bool_]) -> Any:
    if isinstance(expression, Count):
        return survivors(expression, gone)
    if hasattr(expression, "operands"):
        operands = tuple(_with_counts(operand, gone) for operand in expression.operands)
        return type(expression)(expression.function, operands)
    return expression


def _wanted(demand: Demand, gone: NDArray[np.bool_]) -> float:
    if isinstance(demand.wanted, Count):
        return survivors(demand.wanted, gone)
    return demand.wanted


def survivors(count: Count, gone: NDArray[np.bool_]) -> int:
    """How many of the counted survive once some clusters are gone."""
    return int((~gone[count.labels]).any(1).sum())
