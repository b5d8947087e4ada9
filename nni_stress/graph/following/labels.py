"""Labels of tensors. They belong to storages, so that views need no rules of their own."""

from __future__ import annotations

from collections.abc import Sequence

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
        moved = _dimensions_moved(labelled, tensor)
        if moved is None:
            elements = tensor.untyped_storage().nbytes() // labelled.item_size
            moved = [
                flat.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
                for flat in labelled.flat(elements)
            ]
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


def _dimensions_moved(labelled: _Labelled, tensor: torch.Tensor) -> Planes | None:
    """Planes of a view that permutes, drops or adds dimensions; None for other views."""
    if tensor.storage_offset() != labelled.offset:
        return None
    order = _matching_dimensions(labelled, tensor.size(), tensor.stride())
    if order is None:
        return None
    dropped = [dim for dim in range(len(labelled.size)) if dim not in order]
    left = [dim for dim in range(len(labelled.size)) if dim not in dropped]
    return [_permuted(plane, order, dropped, left, tensor.shape) for plane in labelled.planes]


def _matching_dimensions(
    labelled: _Labelled, sizes: Sequence[int], strides: Sequence[int]
) -> list[int | None] | None:
    """For each dimension of a view the one it was, None for a new one; None if any is unknown."""
    free = [dim for dim, size in enumerate(labelled.size) if size > 1]
    order: list[int | None] = []
    for size, stride in zip(sizes, strides):
        if size == 1 or stride == 0:
            order.append(None)
            continue
        same = [d for d in free if labelled.size[d] == size and labelled.stride[d] == stride]
        if not same:
            return None
        free.remove(same[0])
        order.append(same[0])
    return order


def _permuted(
    plane: Plane, order: list[int | None], dropped: list[int], left: list[int], shape: torch.Size
) -> Plane:
    for dim in sorted(dropped, reverse=True):
        plane = plane.select(dim, 0)
    plane = plane.permute([left.index(dim) for dim in order if dim is not None])
    for index, known in enumerate(order):
        if known is None:
            plane = plane.unsqueeze(index)
    return plane.expand(shape)
