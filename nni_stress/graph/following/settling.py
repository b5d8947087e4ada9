"""What the sizes that a program uses say about labels, once all labels are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from .counts import Count, Demand
from .planes import Plane
from .relations import Reason, Relations
from .sizes import Computed

Roots = NDArray[np.int64]


class Grid(NamedTuple):
    """Labels that a view has spread over several dimensions: survivors must form a rectangle."""

    labels: NDArray[np.int64]
    demands: tuple[Demand | None, ...]  # for each dimension, None if it adapts
    reason: Reason


class Borrowed(NamedTuple):
    """A size of one tensor that was used for another."""

    labels: NDArray[np.int64]
    owner: NDArray[np.int64]
    reason: Reason


def all_demands(demands: Iterable[Demand], grids: Iterable[Grid], roots: Roots) -> list[Demand]:
    """All demands, with those of the dimensions along which views lose something."""
    found = list(demands)
    for grid in grids:
        axis = _axis(roots[grid.labels])
        demand = None if axis is None else grid.demands[axis]
        if demand is not None:
            found.append(demand)
    return found


def settle_demands(
    relations: Relations,
    demands: Iterable[Demand],
    roots: Roots,
    accepts: Callable[[Demand], bool],
) -> None:
    """Fix what demands count that cannot be met, and tie what several with one size count."""
    first: dict[Any, Demand] = {}
    for demand in demands:
        labels = demand.labels()
        if not roots[labels].any():
            continue
        if not accepts(demand):
            relations.fix([_plane(labels)], demand.reason)
        elif isinstance(demand.wanted, Count) and (key := _key(demand.expression)) is not None:
            other = first.setdefault(key, demand)
            if other is not demand:
                _settle_shared(relations, demand, other, roots)


def _key(expression: Any) -> Any:
    """What tells expressions apart that are computed alike; None if they contain counts."""
    if isinstance(expression, Count):
        return None
    if isinstance(expression, Computed):
        keys = tuple(_key(operand) for operand in expression.operands)
        return None if None in keys else (expression.function, keys)
    return expression


def _settle_shared(relations: Relations, demand: Demand, other: Demand, roots: Roots) -> None:
    """The same size is used for both: as many must be left of what the one and the other count."""
    rows = [item.wanted.labels for item in (demand, other) if isinstance(item.wanted, Count)]
    clusters = [roots[labels] for labels in rows]
    if any((own != own[:, :1]).any() for own in clusters):  # not settled yet
        return
    if not np.array_equal(np.sort(clusters[0][:, 0]), np.sort(clusters[1][:, 0])):
        relations.tie(_plane(rows[0][:, 0]), _plane(rows[1][:, 0]))


def settle_borrowed(relations: Relations, borrowed: Borrowed, roots: Roots) -> None:
    """Tie a dimension to the one whose size it was given."""
    own, owner = roots[borrowed.labels], roots[borrowed.owner]
    if not own.any() and not owner.any():
        return
    if set(own.tolist()) & set(owner.tolist()) - {0}:
        return
    if own.size % owner.size == 0:
        tied = np.broadcast_to(borrowed.owner, (own.size // owner.size, owner.size)).reshape(-1)
        relations.tie(_plane(borrowed.labels), _plane(tied))
    else:
        relations.fix([_plane(borrowed.labels), _plane(borrowed.owner)], borrowed.reason)


def settle_grid(
    relations: Relations, grid: Grid, roots: Roots, accepts: Callable[[Demand], bool]
) -> None:
    """Tie the labels of a view along all dimensions but one."""
    values = roots[grid.labels]
    if not values.any() or _axis(values) is not None:
        return
    adapting = [axis for axis, demand in enumerate(grid.demands) if demand is None]
    keep = adapting[0] if len(adapting) == 1 else None
    if not adapting:  # the outermost, as heads are
        keep = next((a for a, item in enumerate(grid.demands) if item and accepts(item)), None)
    plane = _plane(grid.labels)
    if keep is None:
        relations.fix([plane], grid.reason)
    else:
        relations.collapse(plane, [axis for axis in range(plane.dim()) if axis != keep])


def _axis(values: Roots) -> int | None:
    """The only axis along which values vary; None if there are several."""
    axes = [axis for axis in range(values.ndim) if (values != np.take(values, [0], axis)).any()]
    if len(axes) > 1:
        return None
    return axes[0] if axes else 0


def _plane(labels: NDArray[np.int64]) -> Plane:
    return torch.from_numpy(np.ascontiguousarray(labels).astype(np.int32))
