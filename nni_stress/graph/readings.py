"""Where the tensors of a network read its clusters: what a removed cluster is no longer read by."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from typing import NamedTuple

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from .following.structure import LabelledTensor, Removed, Roots, Structure

_PARAMETRIZATIONS = ".parametrizations."
_READ_NOTHING = (
    _NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.PReLU,
    nn.Embedding,
    nn.EmbeddingBag,
)
# They read along the second dimension of their weights, whatever their names.
_READ_SECOND = (nn.Linear, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)


class Reading(NamedTuple):
    """A tensor that reads clusters.

    Parameters
    ----------
    caller
        Name of the module during whose calls it is read.
    holder
        Name of the module that has it as an attribute.
    leaf
        Name of the attribute; empty where it is what the module returns.
    clusters
        For each dimension, the cluster of each index, or None where it reads nothing.
    input_dim
        The dimension of the caller's first argument, counted from the last, that has the same
        clusters; None where it is not known.
    output_dim
        The dimension of the tensor whose clusters the caller's result has, where that has no
        others along `input_dim`; None for other tensors.
    groups
        Number of groups, each of which reads clusters of its own along the second dimension.
    """

    caller: str
    holder: str
    leaf: str
    clusters: tuple[Roots | None, ...]
    input_dim: int | None = None
    groups: int = 1
    output_dim: int | None = None


def readings_of(network: nn.Module, structure: Structure, directly: Removed) -> list[Reading]:
    """All places where a network reads clusters, but for those modules that normalize over them.

    Layers read along the inputs of their weights. What a parameter does that is part of no layer is
    not known, so it counts as reading along all its dimensions.

    Parameters
    ----------
    network
        The network.
    structure
        Its structure.
    directly
        For each cluster, whether all parameters that have it count as reading it.

    Examples
    --------
    >>> import torch
    >>> from nni_stress.graph.following.follow import follow
    >>> from nni_stress.graph.following.structure import removed_flags
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 1))
    >>> structure = follow(network, (torch.rand(2, 2),))
    >>> readings = readings_of(network, structure, removed_flags(structure, ()))
    >>> [(reading.holder, reading.leaf, reading.clusters[1].tolist()) for reading in readings]
    [('3', 'weight', [1, 2, 3])]
    """
    return [
        reading
        for tensor in structure.tensors
        if tensor.is_parameter
        for name in tensor.names
        for reading in _readings(network, structure, tensor, name, directly)
        if any(labels is not None and labels.any() for labels in reading.clusters)
    ]


def _readings(
    network: nn.Module, structure: Structure, tensor: LabelledTensor, name: str, directly: Removed
) -> Iterator[Reading]:
    path, _, leaf = name.rpartition(".")
    owner, parametrized, rest = path.partition(_PARAMETRIZATIONS)
    module = network.get_submodule(owner)
    if owner in structure.normalizing:
        return
    if parametrized:
        if tensor.shape == getattr(module, rest).shape:
            yield Reading(path, path, "", _clusters_of(module, tensor, directly))
        return
    if leaf in ("weight_g", "weight_v") and hasattr(module, "weight"):  # torch's former weight norm
        if leaf == "weight_g":
            return
        leaf = "weight"
    caller = _caller(network, owner, structure.input_shapes)
    input_dim = _input_dim(module) if caller == owner and leaf == "weight" else None
    if tensor.grouped is not None:
        groups = len(tensor.grouped)
        yield Reading(caller, owner, leaf, (None, tensor.grouped.reshape(-1)), input_dim, groups)
    clusters = _clusters_of(module, tensor, directly, structure.reads.get(name))
    shown = {dim for dim, labels in enumerate(clusters) if labels is not None}
    output_dim = _output_dim(module) if input_dim is not None else None
    if not shown - {output_dim} <= {*_reading_dims(module, len(clusters))}:
        input_dim = output_dim = None
    yield Reading(caller, owner, leaf, clusters, input_dim, output_dim=output_dim)


def _clusters_of(
    module: nn.Module,
    tensor: LabelledTensor,
    directly: Removed,
    dims: Collection[int] | None = None,
) -> tuple[Roots | None, ...]:
    """The clusters that a parameter of a module reads along each dimension."""
    if dims is None:
        dims = _reading_dims(module, len(tensor.dims)) if tensor.grouped is None else ()
    clusters = [
        labels if dim in dims else np.where(directly[labels], labels, 0)
        for dim, labels in enumerate(tensor.dims)
    ]
    return tuple(labels if labels.any() else None for labels in clusters)


def _reading_dims(module: nn.Module, dims: int) -> tuple[int, ...]:
    if isinstance(module, _READ_NOTHING):
        return ()
    if isinstance(module, nn.Bilinear):
        return (1, 2) if dims == 3 else ()
    if isinstance(module, _ConvNd):
        if dims == 1 or module.groups > 1:  # each channel of a depthwise convolution has its own
            return ()
        return (0,) if module.transposed else (1,)
    if isinstance(module, _READ_SECOND):
        return (1,) if dims == 2 else ()
    if type(module).__name__ == "Conv1D":  # of transformers
        return (0,) if dims == 2 else ()
    return tuple(range(dims))


def _input_dim(module: nn.Module) -> int | None:
    if isinstance(module, _ConvNd):
        return 1 - module.weight.dim()
    if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
        return -1
    return None


def _output_dim(module: nn.Module) -> int | None:
    """The dimension of a layer's weight that its result has; None where more is done with it."""
    plain = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    return 0 if any(type(module).forward is kind.forward for kind in plain) else None


def _caller(network: nn.Module, path: str, called: Container[str]) -> str:
    """The innermost module around a tensor that is called."""
    parent = network.get_submodule(path.rpartition(".")[0])
    if path and isinstance(parent, nn.MultiheadAttention) and "forward" not in vars(parent):
        return path.rpartition(".")[0]  # torch's own forward reads the output projection's weight
    while path and path not in called:
        path = path.rpartition(".")[0]
    return path
