"""Loading of single examples whose random augmentation depends on one generator alone.

Each example gets a seed of its own. The number of worker processes therefore changes how long
loading takes, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Key = tuple[int, int, int]  # index of an example, seed of its augmentation, size of its image


class SeededBatchSampler:
    """Sampler of one epoch of batches of keys (index, seed, size), for :func:`seeded_loader`.

    Examples that do not fill a last batch are left out.

    Parameters
    ----------
    count
        Number of examples in the data set.
    batch_size
        Number of examples in a batch.
    generator
        Source of the order, the seeds and the sizes.
    sizes
        Image sizes in pixels to choose from at random.
    batches_per_size
        Number of successive batches that share a size.

    Raises
    ------
    ValueError
        If the batch size is not between 1 and the number of examples.

    Examples
    --------
    >>> sampler = SeededBatchSampler(10, 4, torch.Generator())
    >>> [len(batch) for batch in sampler]
    [4, 4]
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        generator: torch.Generator,
        sizes: tuple[int, ...] = (0,),
        batches_per_size: int = 10,
    ) -> None:
        if not 0 < batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 1 and the {count} examples, but got {batch_size}"
            )
        self._count = count
        self._batch_size = batch_size
        self._generator = generator
        self._sizes = sizes
        self._batches_per_size = batches_per_size

    def __len__(self) -> int:
        return self._count // self._batch_size

    def __iter__(self) -> Iterator[list[Key]]:
        # Everything is drawn at once, as worker processes ask for batches ahead of their use.
        order = torch.randperm(self._count, generator=self._generator).tolist()
        seeds = torch.randint(2**62, (self._count,), generator=self._generator).tolist()
        size_changes = -(-len(self) // self._batches_per_size)
        chosen = torch.randint(len(self._sizes), (size_changes,), generator=self._generator)
        for batch in range(len(self)):
            span = slice(batch * self._batch_size, (batch + 1) * self._batch_size)
            size = self._sizes[int(chosen[batch // self._batches_per_size])]
            yield [(index, seed, size) for index, seed in zip(order[span], seeds[span])]


def seeded_loader(
    dataset: Dataset,
    sampler: SeededBatchSampler,
    workers: int = 0,
    collate: Callable[[list], Any] | None = None,
) -> DataLoader:
    """Create a loader of a data set that is indexed by the sampler's keys.

    Parameters
    ----------
    dataset
        Data set whose ``__getitem__`` takes (index, seed, size).
    sampler
        Sampler of the batches.
    workers
        Number of worker processes; 0 loads in the calling process.
    collate
        Function that makes a batch of a list of examples; by default torch's.

    Returns
    -------
    torch.utils.data.DataLoader
        Loader of one epoch.
    """
    # A DataLoader draws a seed for its workers. With a generator of its own it does not draw from
    # torch's global one, on which dropout depends.
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),
    )


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generator, from which torchvision's transforms draw, for a while.

    Examples
    --------
    >>> with torch_seed(1):
    ...     first = torch.rand(1)
    >>> with torch_seed(1):
    ...     bool(torch.rand(1) == first)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
