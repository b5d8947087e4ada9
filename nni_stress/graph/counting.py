"""How many indices and elements of a network survive, by the groups of its clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .following.structure import LabelledTensor, Structure


class Count(NamedTuple):
    """How many indices survive: some are fixed, the others come with clusters of the groups."""

    fixed: int
    per_cluster: tuple[tuple[int, float], ...]  # (group, indices for each of its clusters)

    def survivors(self, keep: Sequence[Any]) -> Any:
        """Number of indices when group i keeps ``keep[i]`` clusters."""
        return self.fixed + sum(number * keep[group] for group, number in self.per_cluster)


class Counting:
    """Counts indices by the groups of their clusters.

    Parameters
    ----------
    group_of
        The group of each cluster that can be removed.
    sizes
        Number of clusters of each group.
    clusters
        The highest number of a cluster, and one.
    """

    def __init__(self, group_of: Mapping[int, int], sizes: Sequence[int], clusters: int):
        self._group_of = np.full(clusters, -1)
        self._group_of[list(group_of)] = list(group_of.values())
        self._sizes = sizes

    def of(self, labels: NDArray[np.int64]) -> Count:
        """How many indices with these labels survive."""
        groups = self._group_of[labels.reshape(-1)] + 1
        numbers = np.bincount(groups, minlength=1).tolist()
        return Count(
            numbers[0],
            tuple(
                (group, number / self._sizes[group])
                for group, number in enumerate(numbers[1:])
                if number
            ),
        )


class _Term(NamedTuple):
    """A cost of a module: a constant times the number of survivors of each count."""

    module: str
    constant: float
    counts: tuple[Count, ...]


class _Sum:
    """A sum of terms, for any number of clusters kept.

    The number of survivors of each count is computed once, for all terms together.
    """

    def __init__(self, terms: Sequence[_Term], groups: int):
        self._modules = [term.module for term in terms]
        counts = {count: index for index, count in enumerate({c for t in terms for c in t.counts})}
        self._fixed = np.array([*(count.fixed for count in counts), 1.0])
        self._per_cluster = np.zeros((len(counts) + 1, groups))
        for count, row in counts.items():
            for group, number in count.per_cluster:
                self._per_cluster[row, group] = number
        self._constants = np.array([term.constant for term in terms])
        longest = max((len(term.counts) for term in terms), default=0)
        one = len(counts)  # a count that is always 1
        self._factors = np.array(
            [
                [*map(counts.__getitem__, t.counts), *[one] * (longest - len(t.counts))]
                for t in terms
            ]
        ).reshape(len(terms), longest)

    def terms(self, keep: Sequence[Any]) -> NDArray[np.float64]:
        """The terms when group i keeps ``keep[i]`` clusters: the first dimension of an array."""
        kept = np.asarray(keep, float)
        survivors = np.tensordot(self._per_cluster, kept, 1) if len(kept) else 0.0
        shape = (-1,) + (1,) * (kept.ndim - 1)
        survivors = survivors + self._fixed.reshape(shape)
        products = survivors[self._factors].prod(1)
        result: NDArray[np.float64] = self._constants.reshape(shape) * products
        return result

    def by_module(self, keep: Sequence[int]) -> dict[str, float]:
        """The sum of each module's terms."""
        found: dict[str, float] = {}
        for module, value in zip(self._modules, self.terms(keep).tolist()):
            found[module] = found.get(module, 0.0) + value
        return found


class ModuleCosts:
    """Parameters and multiply-accumulates of a network, module by module.

    Parameters
    ----------
    structure
        The network's structure.
    counting
        Counts by the groups of its clusters.
    groups
        Number of groups.
    examples
        Number of examples in the batch on which it was followed.
    """

    def __init__(self, structure: Structure, counting: Counting, groups: int, examples: int):
        tensors = [_elements(t, counting) for t in structure.tensors if t.is_parameter]
        self._parameters = _Sum(tensors, groups)
        products = [
            _Term(p.module, p.constant / examples, tuple(map(counting.of, p.factors)))
            for p in structure.products
        ]
        self._macs = _Sum(products, groups)

    def total_parameters(self, keep: Sequence[Any]) -> Any:
        """Number of weights and biases when group i keeps ``keep[i]`` clusters."""
        return np.rint(self._parameters.terms(keep).sum(0))

    def total_macs(self, keep: Sequence[Any]) -> Any:
        """Multiply-accumulates for one example."""
        return np.rint(self._macs.terms(keep).sum(0))

    def parameters(self, keep: Sequence[int]) -> dict[str, float]:
        """Number of weights and biases of each module."""
        return self._parameters.by_module(keep)

    def macs(self, keep: Sequence[int]) -> dict[str, float]:
        """Multiply-accumulates for one example of each module that runs operators of its own."""
        return self._macs.by_module(keep)


def _elements(tensor: LabelledTensor, counting: Counting) -> _Term:
    """Number of a tensor's elements."""
    counts = [counting.of(labels) for labels in tensor.dims]
    constant = 1.0
    if tensor.grouped is not None:  # its input counts are those of all groups
        counts[1] = counting.of(tensor.grouped)
        constant = 1 / len(tensor.grouped)
    return _Term(tensor.names[0].rpartition(".")[0], constant, tuple(counts))
