"""Scales of attention that depend on the width of its heads, and what makes up for them.

Scores are products of queries and keys, divided by the square root of their width. Where a program
computes this number while it runs, it changes once the width does. Queries that are multiplied by
the opposite give the same scores as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .counts import Count, Demand
from .relations import Relations

Roots = NDArray[np.int64]

_POWERS = (-0.5, 0.5, -0.25, 0.25)  # the last two where queries and keys are scaled, each


class Contraction(NamedTuple):
    """A product of two activations that sums over labels, as that of queries and keys.

    Parameters
    ----------
    module
        Name of the innermost module that ran it.
    first, second
        Labels of the operands along the dimension that is summed over; those of the second are
        empty if it has none there.
    known
        How many ties were known before it.
    same
        Whether both operands are parts of one tensor.
    """

    module: str
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    known: int
    same: bool = False


class Rows(NamedTuple):
    """Some indices of a dimension of a parameter.

    Parameters
    ----------
    tensor
        Name of the parameter.
    dim
        The dimension.
    chosen
        For each index, whether it is meant.
    """

    tensor: str
    dim: int
    chosen: NDArray[np.bool_]


class Fold(NamedTuple):
    """What is to be multiplied by a power of survivors / clusters once clusters are gone.

    Parameters
    ----------
    clusters
        The cluster of each index that is summed over; 0 where it must stay.
    rows
        Indices of the parameters that make the first operand, or both.
    power
        The power: 1/4 if they make both, else 1/2.
    """

    clusters: Roots
    rows: tuple[Rows, ...]
    power: float


def is_scale(demand: Demand, contraction: Contraction) -> bool:
    """Whether a number that must not change is the scale of a product.

    Examples
    --------
    >>> from nni_stress.graph.following.relations import Reason
    >>> contraction = Contraction("attention", np.arange(16), np.arange(16), 0)
    >>> [is_scale(Demand(16, value, Reason("", "attention")), contraction) for value in (4.0, 3.0)]
    [True, False]
    """
    wanted = demand.wanted
    if isinstance(wanted, Count) or demand.reason.module != contraction.module:
        return False
    width = len(contraction.first)
    return any(math.isclose(wanted, width**power, rel_tol=1e-6) for power in _POWERS)


def fold_of(
    contraction: Contraction,
    parameters: Mapping[str, Sequence[NDArray[np.int64]]],
    called: Sequence[str],
    relations: Relations,
    roots: Roots,
) -> Fold:
    """The rows of the last layer that makes the first operand of a product.

    Where that cannot be told from the second operand's, as both were turned by the same angles, the
    rows of the last layers of both.

    Parameters
    ----------
    contraction
        The product.
    parameters
        Labels of the dimensions of each parameter.
    called
        Names of modules in the order of their calls.
    relations, roots
        What is known of labels, and the cluster of each.
    """
    parts = relations.met(contraction.known)
    making = np.unique(parts[contraction.first])
    making = making[making > 0]
    both = bool(np.isin(parts[contraction.second], making).any())
    found = [
        Rows(name, dim, chosen)
        for name, dims in parameters.items()
        for dim, labels in enumerate(dims)
        if (chosen := np.isin(parts[labels], making)).any()
    ]
    order = {name: position for position, name in enumerate(called)}
    owners = {rows.tensor: order.get(rows.tensor.rpartition(".")[0], -1) for rows in found}
    number = 2 if both and not contraction.same else 1
    last = sorted(set(owners.values()))[-number:]
    rows = tuple(item for item in found if owners[item.tensor] in last)
    return Fold(roots[contraction.first], rows, 0.25 if both else 0.5)


def take_scales(
    demands: Iterable[Demand], contractions: Sequence[Contraction]
) -> tuple[list[Demand], list[Contraction]]:
    """The demands that are no scales of products, and the products of which some are."""
    left = []
    scaled: dict[int, Contraction] = {}
    for demand in demands:
        own = [item for item in contractions if is_scale(demand, item)]
        scaled.update((id(item), item) for item in own)
        if not own:
            left.append(demand)
    return left, list(scaled.values())
