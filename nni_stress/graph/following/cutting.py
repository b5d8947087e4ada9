"""Make a network small: slice its tensors, and set the attributes that repeat their sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from ...utils.module_modes import forget_caches
from .attributes import set_sizes
from .demands import solve
from .scales import Fold
from .structure import LabelledTensor, Removed, Structure, removed_flags
from .tracking import get_attribute, set_attributes

Slice: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Replaced: TypeAlias = Callable[[nn.Parameter, nn.Parameter, Slice], None]


def cut(
    network: nn.Module,
    structure: Structure,
    removed: Set[int],
    replaced: Replaced = lambda old, new, slice_as: None,
) -> None:
    """Remove clusters from a network, in place.

    Parameters
    ----------
    network
        The network that was followed, or a copy of it.
    structure
        Its structure.
    removed
        The clusters to remove.
    replaced
        Called for every parameter that is replaced, with the old parameter, the new one, and the
        function that slices any tensor of the old shape as the parameter was sliced.

    Examples
    --------
    >>> from nni_stress.graph.following.follow import follow
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> cut(network, follow(network, (torch.rand(1, 2),)), {2})
    >>> network
    Sequential(
      (0): Linear(in_features=2, out_features=2, bias=True)
      (1): ReLU()
      (2): Linear(in_features=2, out_features=1, bias=True)
    )
    """
    gone = removed_flags(structure, removed)
    sizes = solve(structure.demands, gone, lambda leaf: get_attribute(network, leaf))
    cuts = [
        (labelled, slice_as)
        for labelled in structure.tensors
        if (slice_as := slicing_of(labelled, gone)) is not None
    ]
    before = shapes_by_module(network, [name for labelled, _ in cuts for name in labelled.names])
    effective = _effective_weights(network, cuts)
    by_name = structure.by_name()
    for labelled, slice_as in cuts:
        _replace(network, labelled, slice_as, replaced)
    for fold in structure.folds:
        _fold(network, by_name, fold, gone)
    for owner, leaf, weight in effective:
        _keep_effective(owner, leaf, weight)
    grouped = [
        name for labelled, _ in cuts if labelled.grouped is not None for name in labelled.names
    ]
    equally = shapes_by_module(network, grouped).keys()
    set_attributes(network, sizes)
    for path, shapes in before.items():
        set_sizes(network.get_submodule(path), shapes, whole_groups=path not in equally)
    forget_caches(network)


def shapes_by_module(network: nn.Module, names: Iterable[str]) -> dict[str, dict[str, torch.Size]]:
    """Shapes of tensors by the modules that use them, also of parametrized ones.

    Examples
    --------
    >>> shapes_by_module(nn.Sequential(nn.Linear(3, 2)), ["0.bias"])
    {'0': {'bias': torch.Size([2])}}
    """
    shapes: dict[str, dict[str, torch.Size]] = {}
    for name in names:
        path, _, leaf = name.rpartition(".")
        owner, mark, parametrized = path.partition(".parametrizations.")
        if mark:
            path, leaf = owner, parametrized
        shapes.setdefault(path, {})[leaf] = getattr(network.get_submodule(path), leaf).shape
    return shapes


def _effective_weights(
    network: nn.Module, cuts: list[tuple[LabelledTensor, Slice]]
) -> list[tuple[nn.Module, str, torch.Tensor]]:
    """What parametrizations make of their tensors, sliced: the small network has the same."""
    found = []
    for labelled, slice_as in cuts:
        for name in labelled.names:
            path, mark, rest = name.partition(".parametrizations.")
            leaf = rest.partition(".")[0]
            if mark:
                owner = network.get_submodule(path)
                weight = getattr(owner, leaf).detach()
                if weight.shape == labelled.shape:
                    found.append((owner, leaf, slice_as(weight)))
    return found


def _keep_effective(owner: nn.Module, leaf: str, weight: torch.Tensor) -> None:
    """Let a parametrized tensor be what it was, though its norm has changed by the cut."""
    if weight.is_meta:
        return
    if not torch.allclose(getattr(owner, leaf), weight, rtol=1e-6, atol=1e-8):
        with torch.no_grad(), contextlib.suppress(NotImplementedError):
            setattr(owner, leaf, weight)  # by the parametrization's right inverse


def slicing_of(labelled: LabelledTensor, gone: Removed) -> Slice | None:
    """The function that slices a tensor, or None if it loses nothing."""
    kept = [~gone[dim] for dim in labelled.dims]
    indices = [None if dim.all() else torch.from_numpy(np.flatnonzero(dim)) for dim in kept]
    columns = None
    if labelled.grouped is not None and gone[labelled.grouped].any():
        columns = [torch.from_numpy(np.flatnonzero(~gone[r])) for r in labelled.grouped]
    if columns is None and all(index is None for index in indices):
        return None

    def slice_as(tensor: torch.Tensor) -> torch.Tensor:
        for dim, index in enumerate(indices):
            if index is not None:
                tensor = _selected(tensor, dim, index)
        if columns is not None:
            blocks = zip(tensor.chunk(len(columns)), columns)
            tensor = torch.cat(
                [block.index_select(1, own.to(block.device)) for block, own in blocks]
            )
        return tensor

    return slice_as


def _selected(tensor: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:
    """Some indices of a tensor along a dimension."""
    if dim == 0 or tensor.element_size() != 2 or tensor.device.type != "cpu":
        return tensor.index_select(dim, index.to(tensor.device))
    tensor = tensor.contiguous()  # PyTorch is slow to select columns of elements of two bytes
    shape = [len(index) if other == dim else size for other, size in enumerate(tensor.shape)]
    selected = tensor.new_empty(shape)
    source, target = (each.view(torch.int16).numpy() for each in (tensor, selected))
    np.take(source, index.numpy(), dim, target, "clip")
    return selected


def _replace(
    network: nn.Module, labelled: LabelledTensor, slice_as: Slice, replaced: Replaced
) -> None:
    """Put the sliced tensor in the place of the old one, under all its names."""
    old = _tensor(network, labelled.names[0])
    new = slice_as(old.detach())
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
        replaced(old, new, slice_as)
    for name in labelled.names:
        owner, leaf = _owner(network, name)
        kind: dict[str, Any] = owner._parameters if leaf in owner._parameters else owner._buffers  # noqa: SLF001
        kind[leaf] = new


@torch.no_grad()
def _fold(
    network: nn.Module, by_name: Mapping[str, LabelledTensor], fold: Fold, gone: Removed
) -> None:
    """Make up for a scale that depends on how many clusters there are."""
    left = int((~gone[fold.clusters]).sum())
    if left in (0, len(fold.clusters)):
        return
    ratio = (left / len(fold.clusters)) ** fold.power
    for name, dim, chosen in fold.rows:
        parameter = _tensor(network, name)
        kept = chosen[~gone[by_name[name].dims[dim]]]
        factors = torch.where(torch.from_numpy(kept), ratio, 1.0).to(parameter)
        shape = [-1 if index == dim else 1 for index in range(parameter.dim())]
        parameter.mul_(factors.view(shape))


def _owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return network.get_submodule(path), leaf


def _tensor(network: nn.Module, name: str) -> Any:
    owner, leaf = _owner(network, name)
    return getattr(owner, leaf)
