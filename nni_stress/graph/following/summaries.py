"""Single numbers that programs compute of features to look at them: to log, to check, to branch."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from .labels import storage_of
from .relations import Statistic


class Summaries:
    """Statistics over labels whose results have not been used to compute anything else.

    A statistic forbids to remove what it is taken over, but one that is only looked at does not.
    """

    def __init__(self) -> None:
        self._by_storage: dict[int, tuple[StorageWeakRef, list[Statistic]]] = {}

    def add(self, tensor: torch.Tensor, statistics: list[Statistic]) -> None:
        """Remember what a tensor is a summary of."""
        reference = StorageWeakRef(tensor.untyped_storage())
        self._by_storage[storage_of(tensor)] = reference, statistics

    def of(self, tensors: Iterable[torch.Tensor]) -> list[Statistic]:
        """What some tensors are summaries of."""
        if not self._by_storage:
            return []
        found: dict[int, Statistic] = {}
        for tensor in tensors:
            reference, statistics = self._by_storage.get(storage_of(tensor), (None, []))
            if reference is not None and not reference.expired():
                found.update({id(one): one for one in statistics})
        return list(found.values())
