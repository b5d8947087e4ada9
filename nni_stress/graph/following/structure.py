"""What a network's tensors have to do with its clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .context import Product
from .counts import Count, Demand
from .follower import Axis, Normalizing
from .heads import HeadView
from .relations import Reason
from .scales import Fold
from .sizes import Computed

Roots = NDArray[np.int64]
Removed = NDArray[np.bool_]
"""For each cluster, by its number, whether it is removed."""

OUTPUT = "reaches the network's output"


@dataclass(frozen=True)
class LabelledTensor:
    """A parameter or buffer of a network.

    Parameters
    ----------
    names
        All its names.
    shape
        Its shape.
    is_parameter
        Whether it is a parameter, not a buffer.
    dims
        For each dimension, the cluster of each index; 0 where the index must stay.
    grouped
        The clusters of the second dimension of a grouped convolution's weight, of shape (groups,
        inputs of a group); None for all other tensors.
    """

    names: tuple[str, ...]
    shape: torch.Size
    is_parameter: bool
    dims: tuple[Roots, ...]
    grouped: Roots | None = None


@dataclass(frozen=True)
class Structure:
    """The result of following a network.

    Parameters
    ----------
    tensors
        Parameters and buffers.
    products
        Multiply-accumulates of its operators, by clusters.
    blocks
        Clusters of which each row must keep the same number.
    demands
        Sizes in the program that depend on clusters, and what they must be.
    normalizing
        Modules that take a statistic over clusters, as layer norms do.
    frozen
        For names of tensors and dimensions that must stay in whole or in part, why.
    input_shapes
        For each module that ran, in the order of the calls, the shape of its first input.
    roots
        The cluster of each label, as a run of the same network gives labels out again.
    folds
        Rows that make up for scales of attention, which depend on its width.
    heads
        Views of queries, keys and values as heads.
    narrowed
        {number of a view: axis of its heads}, of attentions that lose width in place of heads.
    chooses
        Whether the number of elements of a result depends on values, as that of detections does.
    reads
        {name of a parameter: dimensions along which its layer reads clusters}, of layers that are
        followed by a rule of the user's.
    """

    tensors: list[LabelledTensor]
    products: list[Product]
    blocks: list[Roots]
    demands: list[Demand]
    normalizing: dict[str, Normalizing]
    frozen: dict[tuple[str, int], Reason]
    input_shapes: dict[str, torch.Size | None]
    roots: Roots
    folds: list[Fold]
    heads: list[HeadView]
    narrowed: Mapping[int, int]
    chooses: bool
    reads: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def by_name(self) -> dict[str, LabelledTensor]:
        """The tensors by all their names."""
        return {name: tensor for tensor in self.tensors for name in tensor.names}


def removed_flags(structure: Structure, clusters: Iterable[int]) -> Removed:
    """For each number of a cluster, whether it is among these.

    Examples
    --------
    >>> from torch import nn
    >>> from nni_stress.graph.following.follow import follow
    >>> removed_flags(follow(nn.Linear(2, 1), (torch.rand(1, 2),)), {2})
    array([False, False,  True])
    """
    flags = np.zeros(len(structure.roots), bool)
    flags[list(clusters)] = True
    return flags


def normalizing_by_roots(module: Normalizing, roots: Roots) -> Normalizing:
    """A normalizing module in terms of clusters, not of labels."""

    def by_roots(axes: list[Axis]) -> list[Axis]:
        found = [axis._replace(clusters=roots[axis.clusters]) for axis in axes]
        return [axis for axis in found if axis.clusters.any()]

    return Normalizing(by_roots(module.input), by_roots(module.output))


def demand_by_roots(demand: Demand, roots: Roots) -> Demand:
    """A demand in terms of clusters, not of labels."""

    def counted(expression: Any) -> Any:
        if isinstance(expression, Count):
            return Count(roots[expression.labels])
        if isinstance(expression, Computed):
            return Computed(expression.function, tuple(map(counted, expression.operands)))
        return expression

    return Demand(counted(demand.expression), counted(demand.wanted), demand.reason)


def freeze(structure: Structure, clusters: Iterable[int], reason: Reason) -> Structure:
    """A structure in which some clusters must stay.

    Parameters
    ----------
    structure
        The structure.
    clusters
        The clusters.
    reason
        Why.
    """
    frozen = dict(structure.frozen)
    stay = set(clusters)
    for tensor in structure.tensors:
        for dim, labels in enumerate(tensor.dims):
            if stay.intersection(labels.tolist()):
                frozen[tensor.names[0], dim] = reason
    kept = removed_flags(structure, stay)

    def left(labels: Roots) -> Roots:
        return np.where(kept[labels], 0, labels)

    tensors = [
        replace(
            tensor,
            dims=tuple(map(left, tensor.dims)),
            grouped=None if tensor.grouped is None else left(tensor.grouped),
        )
        for tensor in structure.tensors
    ]
    products = [p._replace(factors=tuple(map(left, p.factors))) for p in structure.products]
    roots = left(np.arange(len(structure.roots)))
    return replace(
        structure,
        tensors=tensors,
        products=products,
        blocks=[left(block) for block in structure.blocks],
        demands=[demand_by_roots(demand, roots) for demand in structure.demands],
        normalizing={
            name: normalizing_by_roots(module, roots)
            for name, module in structure.normalizing.items()
        },
        frozen=frozen,
        roots=left(structure.roots),
        folds=[fold._replace(clusters=left(fold.clusters)) for fold in structure.folds],
    )
