"""Clusters of a network: which are alike, and in how many equal parts they must be kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .following.structure import Structure

Place = tuple[int, int]
"""(index of the tensor, dimension); dimension -1 for the inputs of a grouped convolution"""


class Alike(NamedTuple):
    """Clusters that appear in the same dimensions of the same tensors, equally often.

    Parameters
    ----------
    clusters
        Their numbers, in the order of the first dimension that they appear in.
    places
        Where they appear.
    blocks
        They are divided into this many equal parts, and each part must keep the same number.
    """

    clusters: list[int]
    places: frozenset[Place]
    blocks: int


def find_alike(structure: Structure) -> list[Alike]:
    """Sort the clusters of a network into sets of alike ones.

    Clusters that only one dimension has are left out: nothing reads them, or nothing makes them.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from nni_stress.graph.following.follow import follow
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [alike.clusters for alike in find_alike(follow(network, (torch.rand(1, 2),)))]
    [[1, 2, 3]]
    """
    sets = _alike(*_appearances(structure))
    found = []
    blocks_of = _Blocks(structure.blocks, [clusters for clusters, _ in sets])
    for index, (clusters, places) in enumerate(sets):
        blocks = blocks_of.number(index)
        if blocks:
            found.append(Alike(clusters, frozenset(places), blocks))
    return found


def in_blocks(clusters: Sequence[int], blocks: int) -> list[Sequence[int]]:
    """The equal parts of a group of clusters, each of which must keep the same number.

    Examples
    --------
    >>> in_blocks([1, 2, 3, 4, 5, 6], 2)
    [[1, 2, 3], [4, 5, 6]]
    """
    size = len(clusters) // blocks
    return [clusters[start : start + size] for start in range(0, len(clusters), size)]


def _appearances(structure: Structure) -> tuple[list[Place], NDArray[np.int64]]:
    """Places, and one row (cluster, place, how often, index of the first) for each appearance."""
    places: list[Place] = []
    rows = []
    for place, labels in _places(structure):
        clusters, first, counts = np.unique(labels, return_index=True, return_counts=True)
        number = np.full(len(clusters), len(places))
        rows.append(np.stack([clusters, number, counts, first], 1)[clusters > 0])
        places.append(place)
    return places, np.concatenate([np.zeros((0, 4), np.int64), *rows])


def _alike(places: Sequence[Place], rows: NDArray[np.int64]) -> list[tuple[list[int], list[Place]]]:
    """Sets of clusters that appear equally often in the same places, with these places."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    starts, lengths = starts[lengths > 1], lengths[lengths > 1]
    order = np.lexsort((rows[starts, 3], rows[starts, 1]))
    starts, lengths = starts[order], lengths[order]
    runs: dict[bytes, list[NDArray[np.int64]]] = {}  # of alike ones behind each other
    for length in np.unique(lengths):
        own = np.flatnonzero(lengths == length)
        seen = rows[starts[own, None] + np.arange(length), 1:3].reshape(len(own), -1)
        changes = np.flatnonzero((seen[1:] != seen[:-1]).any(1)) + 1
        for run in np.split(np.arange(len(own)), changes):
            runs.setdefault(seen[run[0]].tobytes(), []).append(own[run])
    found = []
    for own in sorted(map(np.concatenate, runs.values()), key=lambda own: own[0]):
        first = starts[own[0]]
        where = rows[first : first + lengths[own[0]], 1]
        found.append((rows[starts[own], 0].tolist(), [places[place] for place in where]))
    return found


def _places(structure: Structure) -> Iterable[tuple[Place, NDArray[np.int64]]]:
    for index, tensor in enumerate(structure.tensors):
        for dim, labels in enumerate(tensor.dims):
            yield (index, dim), labels
        if tensor.grouped is not None:
            yield (index, -1), tensor.grouped


class _Blocks:
    """In how many parts sets of clusters must be kept, for groups of convolutions to stay equal."""

    def __init__(self, blocks: list[NDArray[np.int64]], sets: list[list[int]]):
        self._sets = sets
        self._set_of = {cluster: i for i, clusters in enumerate(sets) for cluster in clusters}
        self._parts = [1] * len(sets)
        for rows in blocks:
            self._divide(rows)

    def number(self, index: int) -> int:
        """Number of equal parts of a set; 0 if it cannot be divided as it must be."""
        return self._parts[index]

    def _divide(self, rows: NDArray[np.int64]) -> None:
        in_rows = [[c for c in row if c in self._set_of] for row in rows.tolist()]
        involved = {self._set_of[cluster] for row in in_rows for cluster in row}
        for index in involved:
            members = [[c for c in row if self._set_of[c] == index] for row in in_rows]
            if all(row == members[0] for row in members):
                continue  # each cluster is in all rows
            everything = [cluster for row in members for cluster in row]
            equal = len({len(row) for row in members}) == 1
            in_order = everything == self._sets[index]
            parts = math.lcm(self._parts[index], len(rows))
            divisible = len(everything) % parts == 0 if parts else False
            self._parts[index] = parts if equal and in_order and divisible else 0
