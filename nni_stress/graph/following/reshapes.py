"""Sizes that a program uses: what follows from those that do not adapt when tensors get smaller."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .context import Context
from .counts import Count, Demand, counts_in
from .heads import View
from .planes import Plane, compact, varies, varying
from .scales import Contraction
from .settling import Borrowed, Grid, all_demands, settle_borrowed, settle_demands, settle_grid
from .sizes import Attribute, Computed, Expression, TensorDim, leaves

Roots = NDArray[np.int64]


class Reshapes:
    """Judges the sizes that a program uses.

    Parameters
    ----------
    context
        What is known of the labels.
    narrowed
        {number of a view: axis of its heads}, of attentions that lose width in place of heads.

    Attributes
    ----------
    narrowed : mapping
        As given.
    demands : list of Demand
        Equations that must hold. Complete once :meth:`settle` is done.
    views : list of View
        Views that have spread labels over several dimensions.
    scaled : list of Contraction
        Products that torch scales by their widths.
    """

    def __init__(self, context: Context, narrowed: Mapping[int, int] | None = None):
        self._context = context
        self.narrowed = narrowed or {}
        self._made = 0
        self.views: list[View] = []
        self.scaled: list[Contraction] = []
        self._grids: list[Grid] = []
        self._borrowed: list[Borrowed] = []
        self.demands: list[Demand] = []

    @property
    def suspended(self) -> bool:
        """Whether a layer runs that is followed by a rule, whatever sizes it uses inside."""
        return self._context.inside > 0

    @contextmanager
    def splitting(self) -> Iterator[None]:
        """While ``torch.split`` runs: its sizes are handed over afterwards."""
        self._context.splitting = True
        try:
            yield
        finally:
            self._context.splitting = False

    def split_off(self, part: torch.Tensor, dim: int, size: Expression) -> None:
        """A part of a tensor was taken by a size."""
        for plane in self._context.labels.of(part):
            if varies(plane, dim):
                if _adapts(size):
                    self._borrow(plane, size)
                else:
                    self.demands.append(self._demand(plane, dim, size))

    def bound(self, tensor: torch.Tensor, dim: int, bound: Expression, value: int) -> None:
        """A slice begins or ends at a bound: as many labels must be left in front of it, or behind.

        A negative bound counts from the end.
        """
        size = tensor.shape[dim]
        if value == 0 or abs(value) >= size:
            return
        for plane in self._context.labels.of(tensor):
            if varies(plane, dim):
                if _adapts(bound):
                    self._borrow(plane, bound)
                    continue
                part = plane.narrow(dim, *((0, value) if value > 0 else (size + value, -value)))
                if value < 0:
                    bound = Computed(operator.neg, (bound,))
                self.demands.append(self._demand(part, dim, bound))

    def stepped(self, tensor: torch.Tensor, dim: int) -> None:
        """A slice takes every so many elements: which ones would change."""
        for plane in self._context.labels.of(tensor):
            if varies(plane, dim):
                self._context.relations.fix([plane], "taken in steps")

    def escaped(self, expression: Expression, value: Any) -> None:
        """A number was computed from sizes that is no size, as a scale."""
        if self.suspended:
            return
        counted = self._counted(expression)
        if any(counts_in(counted)) or any(isinstance(leaf, Attribute) for leaf in leaves(counted)):
            reason = self._context.relations.here("number computed from sizes")
            self.demands.append(Demand(counted, float(value), reason))

    @contextmanager
    def scaling(self) -> Iterator[None]:
        """While torch multiplies by a scale that it computes from the width of queries."""
        before = len(self._context.contractions)
        yield
        self.scaled += self._context.contractions[before:]

    def equal(self, first: Expression, second: Expression) -> None:
        """The program has compared two sizes, which are equal."""
        if self.suspended:
            return
        for size, other in ((first, second), (second, first)):
            if isinstance(size, TensorDim) and not _adapts(other):
                for plane in self._context.labels.of(size.tensor):
                    if varies(plane, size.dim):
                        self.demands.append(self._demand(plane, size.dim, other))

    def norm(self, output: torch.Tensor, sizes: Sequence[Expression]) -> None:
        """The last dimensions of a tensor were normalized, of sizes that were given."""
        for plane in self._context.labels.of(output):
            for dim, size in enumerate(sizes, plane.dim() - len(sizes)):
                if varies(plane, dim) and not _adapts(size):
                    self.demands.append(self._demand(plane, dim, size))

    def group_norm(self, output: torch.Tensor, groups: Expression, number: int) -> None:
        """Channels of a tensor were normalized in so many groups, each of which goes as a whole."""
        for plane in self._context.labels.of(output):
            if number > 1 and varies(plane, 1):
                rows = plane.unflatten(1, (number, -1))
                self.demands.append(self._demand(rows, 1, groups))

    def view(self, output: torch.Tensor, sizes: Mapping[int, Expression]) -> None:
        """A tensor was viewed in another shape, with some sizes given.

        Parameters
        ----------
        output
            The view.
        sizes
            For each dimension that was given, how its size was computed.
        """
        number, self._made = self._made, self._made + 1
        planes = list(self._context.labels.of(output))
        for index, plane in enumerate(planes):
            dims = varying(plane)
            if len(dims) > 1:
                self.views.append(View(number, _by_dims(plane, dims)))
            if len(dims) > 1 and number in self.narrowed:
                heads = dims.pop(self.narrowed[number])
                plane = planes[index] = self._context.relations.collapse(plane, [heads])
            rigid = [dim for dim in dims if dim in sizes and not _adapts(sizes[dim])]
            for dim in dims:
                if dim in sizes and dim not in rigid:
                    self._borrow(plane, sizes[dim])
            if len(dims) == 1 and rigid:
                self.demands.append(self._demand(plane, dims[0], sizes[dims[0]]))
            elif len(dims) == 2 and rigid == dims[1:]:  # as view(..., -1, head_dim)
                planes[index] = self._context.relations.collapse(plane, rigid)
            elif len(dims) > 1:
                self._grids.append(self._grid(plane, dims, {dim: sizes[dim] for dim in rigid}))
        if any(new is not old for new, old in zip(planes, self._context.labels.of(output))):
            self._context.labels.write(output, planes)

    def _demand(self, plane: Plane, dim: int, size: Expression) -> Demand:
        reason = self._context.relations.here(f"size {plane.shape[dim]} given by the program")
        return Demand(self._counted(size), Count(_rows(plane, dim)), reason)

    def _grid(self, plane: Plane, dims: list[int], rigid: Mapping[int, Expression]) -> Grid:
        labels = _by_dims(plane, dims)
        demands = [self._demand(plane, dim, rigid[dim]) if dim in rigid else None for dim in dims]
        reason = self._context.relations.here(f"view as {[int(size) for size in plane.shape]}")
        return Grid(labels, tuple(demands), reason)

    def _borrow(self, plane: Plane, size: Expression) -> None:
        own = compact(plane).reshape(-1).numpy().astype(np.int64)
        for leaf in leaves(size):
            if not isinstance(leaf, TensorDim):
                continue
            for other in self._context.labels.of(leaf.tensor):
                if varies(other, leaf.dim):
                    reason = self._context.relations.here("size of another tensor")
                    owner = compact(other).reshape(-1).numpy().astype(np.int64)
                    self._borrowed.append(Borrowed(own, owner, reason))

    def _counted(self, expression: Expression) -> Any:
        """An expression with counts of labels in place of sizes of tensors."""
        if isinstance(expression, Computed):
            return Computed(expression.function, tuple(map(self._counted, expression.operands)))
        if isinstance(expression, TensorDim):
            for plane in self._context.labels.of(expression.tensor):
                if varies(plane, expression.dim):
                    return Count(_rows(plane, expression.dim))
            return int(expression.tensor.shape[expression.dim])
        return expression

    def settle(self, accepts: Callable[[Demand], bool]) -> Roots:
        """Tie and fix what the sizes demand.

        Parameters
        ----------
        accepts
            Whether a demand can be met for other numbers of survivors.

        Returns
        -------
        numpy.ndarray
            For each label the one that stands for all that are tied to it; 0 if it must stay.
        """
        relations = self._context.relations
        roots = relations.components()
        while True:
            for borrowed in self._borrowed:
                settle_borrowed(relations, borrowed, roots)
            for grid in self._grids:
                settle_grid(relations, grid, roots, accepts)
            settle_demands(relations, self.all_demands(roots), roots, accepts)
            settled = relations.components()
            if np.array_equal(settled, roots):
                return roots
            roots = settled

    def all_demands(self, roots: Roots) -> list[Demand]:
        """All demands, with those of the dimensions along which views lose something."""
        return all_demands(self.demands, self._grids, roots)


def _adapts(size: Expression) -> bool:
    return any(isinstance(leaf, TensorDim) for leaf in leaves(size))


def _by_dims(plane: Plane, dims: Sequence[int]) -> NDArray[np.int64]:
    """Labels of a plane, by the dimensions along which it varies."""
    small = compact(plane)
    return small.reshape([small.shape[dim] for dim in dims]).numpy().astype(np.int64)


def _rows(plane: Plane, dim: int) -> NDArray[np.int64]:
    rows = compact(plane).movedim(dim, 0)
    return rows.reshape(len(rows), -1).numpy().astype(np.int64)
