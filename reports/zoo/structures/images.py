"""Structures that make images larger."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..entries import Entry


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for first in (inputs, outputs):
        layers += [
            nn.Conv2d(first, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """A U-Net with transposed convolutions: NNI 5805 and 4798, Torch-Pruning 99."""

    def __init__(self) -> None:
        super().__init__()
        self.down1 = _twice(1, 16)
        self.down2 = _twice(16, 32)
        self.bottom = _twice(32, 64)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(64, 32, 2, stride=2)
        self.join2 = _twice(64, 32)
        self.up1 = nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1, output_padding=1)
        self.join1 = _twice(32, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel."""
        first = self.down1(x)
        second = self.down2(self.pool(first))
        x = self.up2(self.bottom(self.pool(second)))
        x = self.up1(self.join2(torch.cat([second, x], dim=1)))
        return self.head(self.join1(torch.cat([first, x], dim=1)))


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.activation = nn.PReLU(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * self.second(self.activation(self.first(x)))


class SuperResolution(nn.Module):
    """A pixel shuffle between convolutions: NNI 4301 and 4410, Torch-Pruning 98 and 420."""

    def __init__(self, width: int = 16):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.Sequential(_Residual(width), _Residual(width))
        self.expand = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Images of twice the size."""
        shallow = self.first(x)
        deep = self.shuffle(self.expand(shallow + self.body(shallow)))
        larger = functional.interpolate(x, scale_factor=2, mode="bilinear")
        return self.head(torch.relu(self.refine(deep))) + larger


class Generator(nn.Module):
    """A linear layer viewed as channels, whose number another layer says: Torch-Pruning 125."""

    def __init__(self, code: int = 24):
        super().__init__()
        self.first = nn.Linear(code, 64)
        self.expand = nn.Linear(64, 48 * 4 * 4)
        self.up1 = nn.ConvTranspose2d(48, 32, 4, stride=2, padding=1)
        self.norm1 = nn.InstanceNorm2d(32, affine=True)
        self.up2 = nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(16)
        self.pad = nn.ReflectionPad2d(1)
        self.head = nn.Conv2d(16, 3, 3)

    def forward(self, code: Tensor) -> Tensor:
        """An image for each code."""
        x = functional.relu(self.expand(functional.leaky_relu(self.first(code), 0.2)))
        x = x.view(-1, self.up1.in_channels, 4, 4)
        x = functional.relu(self.norm1(self.up1(x)))
        x = functional.relu(self.norm2(self.up2(x)))
        return torch.tanh(self.head(self.pad(x)))


def _entry(name: str, make: type[nn.Module], *shape: int) -> Entry:
    return Entry(name, make, lambda: torch.rand(shape), resource="parameters", outputs=("head",))


ENTRIES = [
    _entry("U-Net", UNet, 2, 1, 32, 32),
    _entry("pixel shuffle", SuperResolution, 2, 3, 16, 16),
    _entry("view as channels", Generator, 2, 24),
]
