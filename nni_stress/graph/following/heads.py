"""Views of tensors as heads, and the attentions that they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .relations import Relations

Roots = NDArray[np.int64]


class View(NamedTuple):
    """A view that has spread labels over several dimensions.

    Parameters
    ----------
    number
        How many views the program had made before. It is the same in every run.
    labels
        The labels, by the dimensions along which they vary.
    """

    number: int
    labels: NDArray[np.int64]


class HeadView(NamedTuple):
    """A view of queries, keys or values as heads of some width.

    Parameters
    ----------
    number, labels
        As of the view.
    axis
        The axis of `labels` that counts heads.
    attention
        The same number for all views of one attention.
    """

    number: int
    labels: NDArray[np.int64]
    axis: int
    attention: int

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.labels.shape[self.axis])


def head_views(
    views: Iterable[View], products: Iterable[NDArray[np.int64]], relations: Relations, roots: Roots
) -> list[HeadView]:
    """The views whose labels meet in batched products, as those of attentions do.

    Parameters
    ----------
    views
        All views that have spread labels over several dimensions.
    products
        Labels that varied over a batch of matrices.
    relations
        What is known of labels.
    roots
        The cluster of each label, 0 if it must stay.
    """
    parts = relations.parts()
    multiplied = {part for labels in products for part in parts[labels].tolist()}
    found = []
    for view in views:
        own = parts[view.labels]
        axis = _heads_of(roots[view.labels])
        if axis is not None and multiplied.intersection(own.reshape(-1).tolist()):
            found.append(HeadView(view.number, view.labels, axis, int(own.min())))
    return found


def _heads_of(clusters: Roots) -> int | None:
    """The axis of heads: the one along which clusters vary, or the last but one."""
    last = clusters.ndim - 1
    axes = [a for a in range(last + 1) if (clusters != np.take(clusters, [0], a)).any()]
    if not axes:
        return last - 1
    return axes[0] if len(axes) == 1 and axes[0] != last else None
