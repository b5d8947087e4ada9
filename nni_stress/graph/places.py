"""Where the clusters of a network show: layers, and dimensions of tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .following.structure import LabelledTensor, Removed, Structure
from .grouping import output_dim, weight_of


class Trace(NamedTuple):
    """A dimension of a tensor, and the cluster of each of its indices.

    Parameters
    ----------
    tensor
        Name of the parameter.
    dim
        The dimension.
    clusters
        The cluster of each index; 0 for those that must stay.
    """

    tensor: str
    dim: int
    clusters: list[int]


def inputs_of(tensor: LabelledTensor, output: int) -> list[NDArray[np.int64]]:
    """Clusters of the inputs of a layer."""
    if tensor.grouped is not None:
        return [tensor.grouped]
    return [labels for dim, labels in enumerate(tensor.dims) if dim != output]


def trace_of(structure: Structure, cluster: int, removable: Removed) -> Trace:
    """The first dimension of a parameter that has a cluster."""
    for tensor in structure.tensors:
        for dim, labels in enumerate(tensor.dims):
            if cluster in labels and tensor.is_parameter:
                clusters = np.where(removable[labels], labels, 0)
                return Trace(tensor.names[0], dim, clusters.tolist())
    raise ValueError(f"no parameter has cluster {cluster}")


def layers_of(network: nn.Module, structure: Structure) -> dict[str, int]:
    """Layers, in the order of the calls, and the dimension of their weights that outputs go by.

    A layer whose weight another module reads, as attentions do, counts from that module's call.
    """
    named = structure.by_name()
    order = {name: position for position, name in enumerate(structure.input_shapes)}
    found = {
        name: dim
        for name, module in network.named_modules()
        if (dim := output_dim(module)) is not None and weight_of(name) in named
    }
    return {name: found[name] for name in sorted(found, key=lambda name: _called(name, order))}


def _called(name: str, order: Mapping[str, int]) -> float:
    """Position of the call of a module, or of the innermost one around it that was called."""
    while name not in order:
        if not name:
            return math.inf
        name = name.rpartition(".")[0]
    return order[name]
