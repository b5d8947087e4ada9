"""Images in memory as bytes, which are augmented, resized and normalised batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Pixels(NamedTuple):
    """Images, N x C x H x W uint8 with 1 or 3 channels, and N labels, int64."""

    images: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Pixels:
        """Select the examples at the given indices."""
        return Pixels(self.images[indices], self.labels[indices])


class Preprocessing(NamedTuple):
    """Conversion of bytes to a network's input.

    Attributes
    ----------
    size
        Height and width of the input in pixels.
    mean, deviation
        Mean and standard deviation of each channel, for images in [0, 1].

    Examples
    --------
    >>> to_input = Preprocessing(64, mean=(0.5,), deviation=(0.5,))
    >>> to_input(torch.full((2, 1, 28, 28), 255, dtype=torch.uint8))[0, :, 0, 0]
    tensor([1., 1., 1.])
    """

    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Convert bytes, B x 1 x H x W or B x 3 x H x W, to B x 3 x size x size float32."""
        images = images.float()
        if images.shape[2:] != (self.size, self.size):
            images = functional.interpolate(
                images, size=(self.size, self.size), mode="bilinear", antialias=True
            )
        mean = 255 * torch.tensor(self.mean).view(1, -1, 1, 1)
        deviation = 255 * torch.tensor(self.deviation).view(1, -1, 1, 1)
        return ((images - mean) / deviation).expand(-1, 3, -1, -1).contiguous()


class TrainingBatches:
    """Shuffled batches of one epoch, each image randomly cropped and mirrored.

    Examples that do not fill a last batch are left out.

    Parameters
    ----------
    pixels
        Images and labels.
    preprocessing
        Conversion to the network's input.
    batch_size
        Number of examples in a batch.
    padding
        Number of black pixels added at each edge, before a window of the original size is cropped.
    generator
        Source of the order, the windows and the mirroring.

    Raises
    ------
    ValueError
        If the batch size is not between 1 and the number of examples.
    """

    def __init__(
        self,
        pixels: Pixels,
        preprocessing: Preprocessing,
        batch_size: int,
        padding: int,
        generator: torch.Generator,
    ) -> None:
        count = len(pixels.labels)
        if not 0 < batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 1 and the {count} examples, but got {batch_size}"
            )
        self._pixels = pixels
        self._preprocessing = preprocessing
        self._batch_size = batch_size
        self._padding = padding
        self._generator = generator

    def __len__(self) -> int:
        return len(self._pixels.labels) // self._batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self._pixels.labels), generator=self._generator)
        for indices in order[: len(self) * self._batch_size].view(len(self), -1):
            images, labels = self._pixels.take(indices)
            images = random_crops(images, self._padding, self._generator)
            images = random_flips(images, self._generator)
            yield self._preprocessing(images), labels


class EvaluationBatches:
    """All examples in order, without augmentation.

    Parameters
    ----------
    pixels
        Images and labels.
    preprocessing
        Conversion to the network's input.
    batch_size
        Number of examples in a batch; the last one may be smaller.
    """

    def __init__(self, pixels: Pixels, preprocessing: Preprocessing, batch_size: int = 250) -> None:
        self._pixels = pixels
        self._preprocessing = preprocessing
        self._batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self._pixels.labels) // self._batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = (tensor.split(self._batch_size) for tensor in self._pixels)
        for images, labels in zip(*batches):
            yield self._preprocessing(images), labels


def random_crops(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad each image with zeros, and crop a random window of the original size from it.

    Parameters
    ----------
    images
        B x C x H x W.
    padding
        Number of zeros at each edge.
    generator
        Source of the windows' positions.

    Returns
    -------
    torch.Tensor
        B x C x H x W.

    Examples
    --------
    >>> random_crops(torch.ones(2, 3, 8, 8), 1, torch.Generator()).shape
    torch.Size([2, 3, 8, 8])
    """
    count, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    top, left = torch.randint(2 * padding + 1, (2, count, 1), generator=generator)
    rows = (top + torch.arange(height))[:, :, None]
    columns = (left + torch.arange(width))[:, None, :]
    cropped = padded[torch.arange(count)[:, None, None], :, rows, columns]
    return cropped.permute(0, 3, 1, 2)


def random_flips(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image, B x C x H x W, left to right with probability 1/2."""
    flipped = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(flipped, images.flip(3), images)
