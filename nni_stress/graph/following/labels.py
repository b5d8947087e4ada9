"""Labels of tensors. They belong to storages, so that views need no rules of their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from .planes import Plane, Planes, compact
from .relations import Relations


class _Labelled:
    """The planes of the tensor that labelled a storage last."""

    def __init__(self, tensor: torch.Tensor, planes: Planes, neutral: bool):
        self.storage = StorageWeakRef(tensor.untyped_storage())
        self.size = tensor.size()
        self.stride = tensor.stride()
        self.offset = tensor.storage_offset()
        self.item_size = tensor.element_size()
        self.planes = planes
        self.neutral = neutral
        self._flat: Planes | None = None

    def matches(self, tensor: torch.Tensor) -> bool:
        return bool(
            self.size == tensor.size()
            and self.stride == tensor.stride()
            and self.offset == tensor.storage_offset()
        )

    def flat(self, elements: int) -> Planes:
        """The planes as they lie in the storage."""
        if self._flat is None:
            self._flat = []
            for plane in self.planes:
                flat = torch.zeros(elements, dtype=torch.int32)
                flat.as_strided(self.size, self.stride, self.offset).copy_(plane)
                self._flat.append(flat)
        return self._flat


class Labels:
    """The planes of all tensors that are alive.

    Parameters
    ----------
    relations
        Where labels are fixed that cannot be carried on.

    Examples
    --------
    >>> labels = Labels(Relations())
    >>> tensor = torch.rand(2, 3)
    >>> labels.assign(tensor, [torch.tensor([[1, 2, 3]], dtype=torch.int32).expand(2, 3)])
    >>> labels.of(tensor.t()[1:])
    [tensor([[2, 2],
            [3, 3]], dtype=torch.int32)]
    """

    def __init__(self, relations: Relations):
        self._relations = relations
        self._by_storage: dict[int, _Labelled] = {}

    def of(self, tensor: torch.Tensor) -> Planes:
        """The planes of a tensor."""
        labelled = self._labelled(tensor)
        if labelled is None or not labelled.planes or tensor.numel() == 0:
            return []
        if labelled.matches(tensor):
            return labelled.planes
        if labelled.item_size != tensor.element_size():
            self._relations.fix(labelled.planes, "elements read as another type")
            return []
        walk = _walk(labelled, tensor)
        if walk is None:
            elements = tensor.untyped_storage().nbytes() // labelled.item_size
            moved = [
                flat.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
                for flat in labelled.flat(elements)
            ]
        else:
            moved = [_walked(plane, walk, tensor.shape) for plane in labelled.planes]
        return self._canonical(moved)

    def neutral(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is the same everywhere by construction, so that any size suits it."""
        labelled = self._labelled(tensor)
        return labelled is not None and labelled.neutral

    def assign(self, tensor: torch.Tensor, planes: Planes, neutral: bool = False) -> None:
        """Set the planes of a new tensor."""
        if tensor.numel():
            self._by_storage[storage_of(tensor)] = _Labelled(
                tensor, self._canonical(planes), neutral
            )

    def write(self, tensor: torch.Tensor, planes: Planes) -> None:
        """Set the planes of a tensor that was written to, which may be a part of another."""
        labelled = self._labelled(tensor)
        planes = self._canonical(planes)
        size = tensor.untyped_storage().nbytes() // tensor.element_size()
        if labelled is None or tensor.numel() == size:
            self.assign(tensor, planes)
            return
        old = self.of(tensor)
        if len(old) == len(planes) and all(map(torch.equal, old, planes)):
            return
        bases = labelled.flat(size) or [torch.zeros(size, dtype=torch.int32) for _ in planes]
        if len(planes) > len(bases):
            self._relations.fix(planes, "written into a part of a tensor")
            planes = []
        for index, flat in enumerate(bases):
            part = flat.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
            part.copy_(planes[index] if index < len(planes) else torch.zeros((), dtype=part.dtype))
        views = [flat.as_strided(labelled.size, labelled.stride, labelled.offset) for flat in bases]
        labelled.planes = self._canonical(views)
        labelled.neutral = False
        labelled._flat = None  # noqa: SLF001, of this module's own class

    def _labelled(self, tensor: torch.Tensor) -> _Labelled | None:
        labelled = self._by_storage.get(storage_of(tensor))
        return None if labelled is None or labelled.storage.expired() else labelled

    def _canonical(self, planes: Planes) -> Planes:
        """The same planes, compact, without those of a single label, which must stay."""
        kept = []
        for plane in planes:
            small = compact(plane)
            if small.numel() == 1:
                self._relations.fix([small], "all that is left of a tensor")
            else:
                kept.append(small.expand(plane.shape))
        return self._relations.merge(kept)


def storage_of(tensor: torch.Tensor) -> int:
    """What identifies a tensor's storage while it is alive; a tensor and its views have the same.

    Examples
    --------
    >>> tensor = torch.rand(2, 3)
    >>> storage_of(tensor.t()) == storage_of(tensor), storage_of(tensor + 1) == storage_of(tensor)
    (True, False)
    """
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001, data_ptr is 0 on the meta device


class _Steps(NamedTuple):
    """So many steps of one length through a dimension."""

    dim: int
    length: int
    number: int


class _Walk(NamedTuple):
    """How a view goes through the dimensions of a tensor.

    Parameters
    ----------
    starts
        For each dimension of the tensor, the index of the view's first element.
    steps
        For each dimension of the view, its steps, those of the outer dimensions first.
    """

    starts: list[int]
    steps: list[list[_Steps]]


def _walk(labelled: _Labelled, view: torch.Tensor) -> _Walk | None:
    """How a view splits, joins, permutes, cuts or drops dimensions; None if it does none of it."""
    sizes, strides = labelled.size, labelled.stride
    dims = sorted((dim for dim, size in enumerate(sizes) if size > 1), key=lambda dim: strides[dim])
    nested = all(strides[o] >= strides[i] * sizes[i] for i, o in itertools.pairwise(dims))
    rest = int(view.storage_offset() - labelled.offset)
    if not nested or rest < 0 or any(strides[dim] == 0 for dim in dims):
        return None
    starts = [0] * len(sizes)
    for dim in reversed(dims):
        starts[dim], rest = divmod(rest, strides[dim])
    steps = [_steps(labelled, dims, *along) for along in zip(view.size(), view.stride())]
    last = list(starts)
    for each in (each for own in steps for each in own or ()):
        last[each.dim] += (each.number - 1) * each.length
    if rest or None in steps or any(index >= size for index, size in zip(last, sizes)):
        return None
    return _Walk(starts, [own for own in steps if own is not None])


def _steps(
    labelled: _Labelled, dims: Sequence[int], number: int, stride: int
) -> list[_Steps] | None:
    """How a dimension of a view goes through those of a tensor, which are given innermost first."""
    found: list[_Steps] = []
    for index, dim in enumerate(dims):
        size, own = labelled.size[dim], labelled.stride[dim]
        if number == 1 or stride == 0:
            break
        if stride >= own * size:
            continue
        length, rest = divmod(stride, own)
        if rest or length == 0:
            return None
        if (number - 1) * length < size:
            return [_Steps(dim, length, number), *found]
        here = size // length
        if size % length or number % here or labelled.stride[dims[index + 1]] != own * size:
            return None
        found.insert(0, _Steps(dim, length, here))
        number, stride = number // here, own * size
    return None if number > 1 and stride else found


def _walked(plane: Plane, walk: _Walk, shape: torch.Size) -> Plane:
    """What a view sees of a plane, with stride 0 where the plane is constant."""
    sizes, strides, joined = [], [], []
    for steps, size in zip(walk.steps, shape):
        own = [(each.number, plane.stride(each.dim) * each.length) for each in steps]
        if any(stride for _, stride in own):
            sizes += [number for number, _ in own]
            strides += [stride for _, stride in own]
            joined.append(size)
        else:
            joined.append(1)
    start = sum(index * stride for index, stride in zip(walk.starts, plane.stride()))
    seen = plane.as_strided(sizes, strides, plane.storage_offset() + start)
    return seen.reshape(joined).expand(shape)
