"""What is known about labels: which are tied, which must stay and why."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...utils.batches import answer
from .planes import Plane, Planes, compact, labels_in, varies

_LIBRARIES = ("torch", "nni_stress")


class Reason(NamedTuple):
    """Why labels must stay.

    Parameters
    ----------
    text
        What was done with them, and by which operator.
    module
        Name of the module that did it.
    place
        File and line of the program, ``""`` if unknown.

    Examples
    --------
    >>> str(Reason("output", "head", "net.py:12"))
    'output, in head (net.py:12)'
    """

    text: str
    module: str = ""
    place: str = ""

    def __str__(self) -> str:
        where = f", in {self.module}" if self.module else ""
        return self.text + where + (f" ({self.place})" if self.place else "")


class Statistic(NamedTuple):
    """A statistic that a module takes over labels.

    Parameters
    ----------
    module
        Name of the module.
    rows
        The labels, of shape (statistics, labels of one).
    """

    module: str
    rows: NDArray[np.int64]


class Relations:
    """Labels, and what the operators of a network say about them.

    Attributes
    ----------
    count : int
        The next label. Label 0 stands for everything that must stay.
    operator : str
        Name of the operator that runs, for reasons.
    modules : list of str
        Names of the modules that run, outermost first.
    statistics : dict
        For the name of each module that takes statistics over labels, as a layer norm does, these
        labels, one row for each statistic: to set such elements to zero is not the same as to
        remove them.

    Examples
    --------
    >>> relations = Relations()
    >>> first, second = relations.new(2), relations.new(2)
    >>> relations.tie(first, second)
    >>> relations.fix([second[1:]], "output")
    >>> relations.components()[:5]
    array([0, 1, 0, 1, 0])
    """

    def __init__(self) -> None:
        self.count = 1
        self.operator = ""
        self.modules: list[str] = []
        self.statistics: dict[str, list[NDArray[np.int64]]] = {}
        self._edges: list[NDArray[np.int64]] = []
        self._in_number: set[int] = set()
        self._reasons: dict[int, Reason] = {}

    def new(self, number: int) -> Plane:
        """So many new labels, as a tensor of shape (number,)."""
        labels = torch.arange(self.count, self.count + number, dtype=torch.int32)
        self.count += number
        return labels

    def tie(self, first: Plane, second: Plane, in_number: bool = False) -> None:
        """Say that the labels of two planes of one shape can only be removed together.

        Parameters
        ----------
        first, second
            The planes.
        in_number
            Whether they are tied only because as many of the one as of the other must be left.
        """
        for dim in range(first.dim()):
            if not varies(first, dim) and not varies(second, dim):
                first = first.narrow(dim, 0, 1)
                second = second.narrow(dim, 0, 1)
        pairs = _distinct(first.reshape(-1).numpy(), second.reshape(-1).numpy())
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        if not len(pairs):
            return
        if in_number:
            self._in_number.add(len(self._edges))
        self._edges.append(pairs)
        fixed = pairs[(pairs == 0).any(1)].max(1)
        if len(fixed):
            self._explain(fixed, f"combined with something that must stay by {self.operator}")

    def fix(self, planes: Iterable[Plane], why: str | Reason) -> None:
        """Say that labels must stay, and why: a text for what runs now, or a whole reason."""
        labels = labels_in(planes)
        if len(labels):
            self._explain(labels, why)
            self._edges.append(np.stack([labels, np.zeros_like(labels)], 1))

    def collapse(self, plane: Plane, dims: Iterable[int], in_number: bool = False) -> Plane:
        """Tie the labels along dimensions, and return a plane that is constant there."""
        for dim in dims:
            if varies(plane, dim):
                first = plane.narrow(dim, 0, 1).expand_as(plane)
                self.tie(plane, first, in_number)
                plane = first
        return plane

    def merge(self, planes: Planes) -> Planes:
        """Tie planes that vary along the same dimension; one of them is kept."""
        kept: Planes = []
        for plane in planes:
            for index, other in enumerate(kept):
                if any(varies(plane, dim) and varies(other, dim) for dim in range(plane.dim())):
                    self.tie(plane, other)
                    kept[index] = min(plane, other, key=lambda p: compact(p).numel())
                    break
            else:
                kept.append(plane)
        return kept if len(kept) == len(planes) else self.merge(kept)

    def summed(self, planes: Planes, dims: Sequence[int], keepdim: bool = False) -> Planes:
        """Planes once dimensions are summed over: labels along these do not go on."""
        result = []
        for plane in planes:
            outside = [dim for dim in range(plane.dim()) if dim not in dims]
            if any(varies(plane, dim) for dim in outside):
                plane = self.collapse(plane, dims)
                for dim in sorted(dims, reverse=True):
                    plane = plane.narrow(dim, 0, 1) if keepdim else plane.select(dim, 0)
                result.append(plane)
        return result

    def mark_statistic(self, planes: Iterable[Plane], dims: Iterable[int]) -> None:
        """Remember that a statistic is taken over dimensions."""
        self.add_statistics(self.statistics_over(planes, dims))

    def statistics_over(self, planes: Iterable[Plane], dims: Iterable[int]) -> list[Statistic]:
        """The statistics over labels that a reduction of dimensions would be."""
        dims = list(dims)
        found = []
        for plane in planes:
            along = [dim for dim in dims if varies(plane, dim)]
            if along:
                module = self.modules[-1] if self.modules else ""
                rows = compact(plane).movedim(along, list(range(-len(along), 0)))
                rows = rows.flatten(-len(along)).flatten(0, -2) if plane.dim() > 1 else rows[None]
                found.append(Statistic(module, rows.numpy().astype(np.int64)))
        return found

    def add_statistics(self, statistics: Iterable[Statistic]) -> None:
        """Remember statistics."""
        for module, rows in statistics:
            self.statistics.setdefault(module, []).append(rows)

    def parts(self) -> NDArray[np.int64]:
        """For each label, the least label that it is tied to, whether it must stay or not."""
        return self._parts(self._edges)

    def met(self, known: int) -> NDArray[np.int64]:
        """For each label, the least label that it had met by the first so many ties.

        Labels that are tied only in number do not meet.
        """
        met = [index for index in range(known) if index not in self._in_number]
        return self._parts([self._edges[index] for index in met])

    def _parts(self, edges: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        joined = np.concatenate([np.zeros((0, 2), np.int64), *edges])
        return _roots(joined[(joined > 0).all(1)], self.count)

    @property
    def known(self) -> int:
        """How many ties are known."""
        return len(self._edges)

    def components(self) -> NDArray[np.int64]:
        """For each label, the least label that it is tied to; 0 if it must stay."""
        return _roots(np.concatenate([np.zeros((0, 2), np.int64), *self._edges]), self.count)

    def reasons(self) -> dict[int, Reason]:
        """For each label that must stay, why."""
        parts = self.parts()
        of_part: dict[int, Reason] = {}
        for label, reason in self._reasons.items():
            of_part.setdefault(int(parts[label]), reason)
        return {
            label: of_part[part] for label, part in enumerate(parts.tolist()) if part in of_part
        }

    def here(self, text: str) -> Reason:
        """A reason that names the module and the line of the program that run now."""
        return Reason(text, self.modules[-1] if self.modules else "", _place())

    def _explain(self, labels: NDArray[np.int64], why: str | Reason) -> None:
        unknown = [label for label in labels.tolist() if label not in self._reasons]
        if unknown:
            reason = self.here(why) if isinstance(why, str) else why
            self._reasons.update(dict.fromkeys(unknown, reason))


def _distinct(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int64]:
    keys = np.unique(first.astype(np.int64) << 32 | second.astype(np.int64))
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], 1)


def _roots(edges: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    ones = np.ones(len(edges), np.int8)
    graph = coo_matrix((ones, (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, numbers = connected_components(graph, directed=False)
    least = np.full(numbers.max() + 1, count, np.int64)
    np.minimum.at(least, numbers, np.arange(count))
    return least[numbers]


def _place() -> str:
    """File and line of the innermost frame of the network that is of neither torch nor us."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001, inspect.stack reads all source files
    while frame is not None and frame.f_code is not answer.__code__:  # what calls the network
        package = frame.f_globals.get("__name__", "").split(".")[0]
        if package not in _LIBRARIES and not package.startswith("contextlib"):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
