"""Images in memory as bytes: cropped, flipped, resized and normalised batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Pixels(NamedTuple):
    """Images, N x 1 or 3 x H x W bytes; labels, N whole numbers."""

    images: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Pixels:
        """The examples of the indices."""
        return Pixels(self.images[indices], self.labels[indices])


class Look(NamedTuple):
    """What a network sees of an image: three channels of size x size, less the mean, over the deviation, of [0, 1]."""

    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Images of bytes, B x 1 or 3 x H x W, as the network's input, B x 3 x size x size."""
        images = images.float()
        if images.shape[2:] != (self.size, self.size):
            images = functional.interpolate(
                images, size=(self.size, self.size), mode="bilinear", antialias=True
            )
        shape = (1, -1, 1, 1)
        images = (images - 255 * torch.tensor(self.mean).view(shape)) / (
            255 * torch.tensor(self.deviation).view(shape)
        )
        return images.expand(-1, 3, -1, -1).contiguous()


class TrainingBatches:
    """Shuffled batches of one epoch, each image cropped at random and flipped; the last, smaller batch is left out.

    Parameters
    ----------
    pixels
        The examples.
    look
        What the network sees of them.
    batch_size
        Examples of a batch.
    padding
        Black pixels around an image, before a window of its own size is cropped.
    generator
        Of the order, the windows and the flips.
    """

    def __init__(
        self, pixels: Pixels, look: Look, batch_size: int, padding: int, generator: torch.Generator
    ):
        if not 0 < batch_size <= len(pixels.labels):
            raise ValueError(
                f"batch_size must lie between 1 and the {len(pixels.labels)} examples, but got {batch_size}"
            )
        self._pixels, self._look, self._size = pixels, look, batch_size
        self._padding, self._generator = padding, generator

    def __len__(self) -> int:
        return len(self._pixels.labels) // self._size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._pixels.labels), generator=self._generator)
        for indices in order[: len(self) * self._size].view(len(self), -1):
            images, labels = self._pixels.take(indices)
            images = random_flips(
                random_crops(images, self._padding, self._generator), self._generator
            )
            yield self._look(images), labels


class PlainBatches:
    """All examples in order, as they are."""

    def __init__(self, pixels: Pixels, look: Look, batch_size: int = 250):
        self._pixels, self._look, self._size = pixels, look, batch_size

    def __len__(self) -> int:
        return -(-len(self._pixels.labels) // self._size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in zip(
            self._pixels.images.split(self._size), self._pixels.labels.split(self._size)
        ):
            yield self._look(images), labels


def random_crops(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Of each image, B x C x H x W, padded with zeros by `padding`, a random window of its own size."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    top, left = torch.randint(2 * padding + 1, (2, count, 1), generator=generator)
    rows, columns = (
        (top + torch.arange(height))[:, :, None],
        (left + torch.arange(width))[:, None, :],
    )
    return padded[torch.arange(count)[:, None, None], :, rows, columns].permute(0, 3, 1, 2)


def random_flips(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image, B x C x H x W, mirrored left to right with probability 1/2."""
    flipped = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(flipped, images.flip(3), images)
