"""Examples that are read from files one by one, at random: what is drawn for each depends on the generator alone.

Every example gets a seed of its own, so that worker processes, however many, change nothing but the time it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset


class SeededBatches:
    """A sampler of one epoch's batches of keys (index, seed, size); the last, smaller batch is left out.

    Parameters
    ----------
    count, batch_size
        Numbers of examples: of all, and of a batch.
    generator
        Of the order, the seeds and the sizes.
    sizes
        Sizes of images in pixels, one of which is drawn for every `every` batches.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        generator: torch.Generator,
        sizes: tuple[int, ...] = (0,),
        every: int = 10,
    ):
        if not 0 < batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 1 and the {count} examples, but got {batch_size}"
            )
        self._count, self._size, self._generator, self._sizes, self._every = (
            count,
            batch_size,
            generator,
            sizes,
            every,
        )

    def __len__(self) -> int:
        return self._count // self._size

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        # All is drawn at once: worker processes ask for batches ahead of their use.
        order = torch.randperm(self._count, generator=self._generator).tolist()
        seeds = torch.randint(2**62, (self._count,), generator=self._generator).tolist()
        drawn = torch.randint(
            len(self._sizes), (-(-len(self) // self._every),), generator=self._generator
        ).tolist()
        for batch in range(len(self)):
            span = slice(batch * self._size, (batch + 1) * self._size)
            size = self._sizes[drawn[batch // self._every]]
            yield [(index, seed, size) for index, seed in zip(order[span], seeds[span])]


def seeded_loader(
    dataset: Dataset,
    sampler: SeededBatches,
    workers: int = 0,
    collate: Callable[[list], Any] | None = None,
) -> DataLoader:
    """Batches of a data set that is indexed by the sampler's keys, read by so many worker processes (0: by this one)."""
    # A generator of its own: a DataLoader draws a seed for its workers, and must not draw it from torch's.
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        generator=torch.Generator(),
    )


@contextmanager
def chance_of(seed: int):
    """Have torch's generator, from which torchvision's transforms draw, begin at a seed for a while."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
