"""Convolutional structures that split, shuffle, gate or scale their channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..entries import Entry


def _convolution(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class _C2f(nn.Module):
    """Half of the channels goes through bottlenecks, all of whose outputs are joined."""

    def __init__(self, inputs: int, outputs: int, depth: int = 2):
        super().__init__()
        half = outputs // 2
        self.first = _convolution(inputs, 2 * half)
        self.last = _convolution((2 + depth) * half, outputs)
        self.bottlenecks = nn.ModuleList(
            nn.Sequential(_convolution(half, half, 3), _convolution(half, half, 3))
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.first(x).chunk(2, 1))
        for bottleneck in self.bottlenecks:
            parts.append(parts[-1] + bottleneck(parts[-1]))
        return self.last(torch.cat(parts, 1))


def c2f() -> nn.Module:
    """YOLOv8's C2f: Torch-Pruning 147, ultralytics 14171, NNI 5416."""
    return nn.Sequential(_convolution(3, 16, 3), _C2f(16, 32), nn.Conv2d(32, 6, 1))


class _ShuffleUnit(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, worked = x.chunk(2, dim=1)
        x = torch.cat((kept, self.branch(worked)), dim=1)
        batch, channels, height, width = x.size()
        x = x.view(batch, 2, channels // 2, height, width)
        return x.transpose(1, 2).contiguous().view(batch, channels, height, width)


class ShuffleNet(nn.Module):
    """ShuffleNetV2, which shuffles by sizes read from tensors: Torch-Pruning 14, 45, NNI 4556."""

    def __init__(self, channels: int = 32):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )
        self.units = nn.Sequential(_ShuffleUnit(channels), _ShuffleUnit(channels))
        self.wide = nn.Conv2d(channels, 64, 1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ten classes."""
        return self.head(torch.relu(self.wide(self.units(self.stem(x)))).mean([2, 3]))


class _Gated(nn.Module):
    """Expansion, a depthwise convolution padded by hand, and a squeeze-and-excite gate."""

    def __init__(self, inputs: int, expanded: int, outputs: int, stride: int):
        super().__init__()
        self.padding = [0, 1, 0, 1] if stride == 2 else [1, 1, 1, 1]
        self.has_shortcut = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(
            nn.Conv2d(inputs, expanded, 1, bias=False), nn.BatchNorm2d(expanded), nn.Hardswish()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(expanded, expanded, 3, stride=stride, groups=expanded, bias=False),
            nn.BatchNorm2d(expanded),
            nn.Hardswish(),
        )
        self.squeeze = nn.Conv2d(expanded, expanded // 4, 1)
        self.excite = nn.Conv2d(expanded // 4, expanded, 1)
        self.project = nn.Sequential(
            nn.Conv2d(expanded, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(functional.pad(self.expand(x), self.padding))
        gate = functional.relu(self.squeeze(y.mean((2, 3), keepdim=True)))
        y = self.project(torch.sigmoid(self.excite(gate)) * y)
        return x + y if self.has_shortcut else y


class SqueezeExcite(nn.Module):
    """MobileNetV3's block: NNI 4720, 3206, 4540, 5172."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(_Gated(16, 64, 24, 2), _Gated(24, 96, 24, 1))
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ten classes."""
        x = functional.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1)
        return self.head(x.flatten(1))


class FaceEmbedding(nn.Module):
    """Bare parameters, and an embedding of length 1: NNI 5018, Torch-Pruning 356."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU6(),
            nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False),
            nn.BatchNorm2d(24),
            nn.ReLU6(),
            nn.Conv2d(24, 48, 1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU6(),
        )
        self.added = nn.Parameter(0.02 * torch.randn(1, 48, 1, 1))
        self.times = nn.Parameter(1 + 0.02 * torch.randn(1, 48, 1, 1))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(48, 32, bias=False)
        self.norm = nn.BatchNorm1d(32)

    def forward(self, x: Tensor) -> Tensor:
        """An embedding of length 1 for each image."""
        x = self.pool((self.features(x) + self.added) * self.times)
        x = self.norm(self.head(self.dropout(x.view(x.size(0), -1))))
        return functional.normalize(x, p=2, dim=1)


def _entry(name: str, make: type[nn.Module], *outputs: str) -> Entry:
    return Entry(
        name, make, lambda: torch.rand(2, 3, 32, 32), resource="parameters", outputs=outputs
    )


ENTRIES = [
    Entry("C2f", c2f, lambda: torch.rand(2, 3, 32, 32), resource="parameters", outputs=("2",)),
    _entry("channel shuffle", ShuffleNet, "head"),
    _entry("squeeze and excite", SqueezeExcite, "head"),
    _entry("normalized embedding", FaceEmbedding, "head"),
]
