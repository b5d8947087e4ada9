"""Operators that choose, reduce, normalize or broadcast."""

import torch
from torch import nn
from torch.nn import functional

from ..case import IMAGES, SEQUENCES, VECTORS, Cases
from .moves import Between

CASES = Cases()


@CASES.add(IMAGES, "next: 6", "stem: 8")
class MaxOverPositions(Between):
    """A maximum with indices, of which only the values are used."""

    def between(self, features):
        highest, _ = features.flatten(2).max(2)
        return features - highest[..., None, None]


@CASES.add(IMAGES, "next: 6", frozen={"stem": "statistic"})
class SpatialGate(Between):
    """Mean and maximum over channels, as CBAM takes them, which is no norm of its own."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Conv2d(2, 1, 3, padding=1)

    def between(self, features):
        both = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return features * torch.sigmoid(self.gate(both))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class HighestPositions(Between):
    def between(self, features):
        return features.flatten(2).topk(4, 2).values.unflatten(2, (2, 2))


@CASES.add(IMAGES, "next: 6", frozen={"stem": "topk"})
class HighestChannels(Between):
    width = 4

    def between(self, features):
        return features.topk(4, 1).values


@CASES.add(IMAGES, "next: 6", "stem: 8")
class SortedPositions(Between):
    def between(self, features):
        return features.sort(3).values


@CASES.add(IMAGES, "next: 6", frozen={"stem": "argmax"})
class Winner(Between):
    width = 1

    def between(self, features):
        return features.argmax(1, keepdim=True).float()


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Gathered(Between):
    """Positions are picked by an index that is the same for all channels."""

    def between(self, features):
        flat = features.flatten(2)
        index = torch.arange(9).expand(*flat.shape[:2], 9)
        return flat.gather(2, index).unflatten(2, (3, 3))


@CASES.add(IMAGES, "next: 6", frozen={"stem": "index"})
class Picked(Between):
    width = 3

    def between(self, features):
        return features.index_select(1, torch.tensor([0, 3, 4]))


@CASES.add(IMAGES, "next: 6", frozen={"stem": "statistic"})
class SoftmaxOverChannels(Between):
    def between(self, features):
        return features.softmax(1)


@CASES.add(IMAGES, "next: 6", frozen={"stem": "statistic"})
class Normalized(Between):
    def between(self, features):
        return functional.normalize(features, dim=1)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class CumulativePositions(Between):
    def between(self, features):
        return features.cumsum(2)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class MaskOfOne(Between):
    """A mask of one channel ties nothing."""

    def __init__(self):
        super().__init__()
        self.mask = nn.Conv2d(3, 1, 1)

    def forward(self, images):
        features = torch.relu(self.stem(images)) * torch.sigmoid(self.mask(images))
        return self.head(torch.relu(self.next(features)))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class OneToMany(Between):
    """One channel is added to all."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 1, 1)

    def forward(self, images):
        features = torch.relu(self.stem(images) + self.one(images))
        return self.head(torch.relu(self.next(features)))


@CASES.add(IMAGES, "excite stem: 8", "next: 6", "squeeze: 4")
class SqueezeExcite(Between):
    def __init__(self):
        super().__init__()
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)

    def between(self, features):
        pooled = functional.adaptive_avg_pool2d(features, 1)
        return features * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


@CASES.add(IMAGES, "next: 6", "one stem: 8")
class InPlace(Between):
    """Activations and sums that write into their inputs."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(8, 8, 1)
        self.act = nn.ReLU(inplace=True)

    def between(self, features):
        other = self.one(features)
        other += features
        other.mul_(0.5)
        return self.act(other)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class WrittenInParts(Between):
    """Each half is written by itself."""

    def between(self, features):
        features = features.clone()
        half = features.shape[1] // 2
        features[:, :half] *= 2
        features[:, half:].relu_()
        return features


@CASES.add(SEQUENCES, "one two: 6", "stem: 8")
class Products(nn.Module):
    """Contracted, batch and free dimensions."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 8)
        self.one, self.two = nn.Linear(8, 6), nn.Linear(8, 6)

    def forward(self, values):
        features = torch.relu(self.stem(values))
        return torch.einsum("bic,bjc->bij", self.one(features), self.two(features))


@CASES.add(SEQUENCES, "one two: 1", "stem: 8")
class OuterProducts(Products):
    """All pairs of free dimensions are inputs of one layer, so that each depends on all others."""

    def __init__(self):
        super().__init__()
        self.two = nn.Linear(8, 7)
        self.head = nn.Linear(42, 3)

    def forward(self, values):
        features = torch.relu(self.stem(values))
        outer = torch.einsum("bic,bid->bcd", self.one(features), self.two(features))
        return self.head(outer.flatten(1))


@CASES.add(VECTORS, "stem: 8")
class MatrixByVector(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.direction = nn.Parameter(torch.randn(8))

    def forward(self, values):
        return torch.mv(torch.relu(self.stem(values)), self.direction)


@CASES.add(IMAGES, "next: 6", frozen={"stem": "not understood"})
class NotUnderstood(Between):
    """A Fourier transform over channels."""

    def between(self, features):
        return torch.fft.fft(features, dim=1).real


@CASES.add(SEQUENCES, "stem: 8")
class ReadTwice(nn.Module):
    """Features that a layer reads, and that are multiplied with each other besides."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(12, 8), nn.Linear(8, 5)

    def forward(self, values):
        features = torch.relu(self.stem(values))
        return self.head(features) + features @ features.transpose(1, 2)
