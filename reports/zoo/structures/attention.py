"""Structures with layer norms over channels, and attention in several spellings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..entries import Entry, tokens


class _ConvNextBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.layer_scale = nn.Parameter(0.5 * torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.contract(functional.gelu(self.expand(y))).permute(0, 3, 1, 2)
        return x + self.layer_scale * y


class ConvNext(nn.Module):
    """ConvNeXt: channels moved last and back, a layer scale: NNI 5417."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.blocks = nn.Sequential(_ConvNextBlock(width), _ConvNextBlock(width))
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.last = _ConvNextBlock(2 * width)
        self.norm = nn.LayerNorm(2 * width)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ten classes."""
        x = self.last(self.down(self.blocks(self.stem(x))))
        return self.head(self.norm(x.mean([-2, -1])))


class _EncoderLayer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        y, _ = self.attention(y, y, y, need_weights=False)
        x = x + y
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """nn.MultiheadAttention, a class token and positions: Torch-Pruning 101 and 196."""

    def __init__(self, width: int = 32, heads: int = 4, patches: int = 16):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, patches + 1, width))
        self.layers = nn.Sequential(_EncoderLayer(width, heads), _EncoderLayer(width, heads))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of ten classes."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.layers(x))[:, 0])


class _JointAttention(nn.Module):
    """One layer for queries, keys and values, whose outputs are taken apart by their shape."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)
        queries, keys, values = qkv[0], qkv[1], qkv[2]
        weights = (queries @ keys.transpose(-2, -1) * self.scale).softmax(dim=-1)
        return self.project((weights @ values).transpose(1, 2).reshape(batch, length, width))


class JointProjection(nn.Module):
    """Attention as in DINO and DeiT: Torch-Pruning 393 and 340."""

    def __init__(self, width: int = 32, heads: int = 4):
        super().__init__()
        self.embed = nn.Linear(12, width)
        self.norm1 = nn.LayerNorm(width)
        self.attention = _JointAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.head = nn.Linear(width, 7)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of seven classes."""
        x = self.embed(x)
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(dim=1))


class _SharedLayer(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.width = width
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, future: Tensor) -> Tensor:
        batch, length = x.shape[:2]
        queries, keys, values = (
            layer(x).view(batch, length, self.heads, -1)
            for layer in (self.query, self.key, self.value)
        )
        scale = (self.width // self.heads) ** 0.5
        scores = torch.einsum("bihd,bjhd->bhij", queries, keys) / scale
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        mixed = torch.einsum("bhij,bjhd->bihd", weights, values).reshape(batch, length, -1)
        x = self.norm1(x + self.project(mixed))
        return self.norm2(x + self.contract(functional.gelu(self.expand(x))))


class TiedLanguageModel(nn.Module):
    """One layer used three times, one matrix for inputs and outputs: NNI 5187."""

    def __init__(self, vocabulary: int = 50, width: int = 32, length: int = 12):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.layer = _SharedLayer(width, 4)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embed.weight
        future = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        self.register_buffer("future", future)

    def forward(self, words: Tensor) -> Tensor:
        """Logits of the words that follow."""
        x = self.embed(words)
        for _ in range(3):
            x = self.layer(x, self.future)
        return self.head(x)


def _images() -> Tensor:
    return torch.rand(2, 3, 32, 32)


ENTRIES = [
    Entry("ConvNeXt", ConvNext, _images, resource="parameters", outputs=("head",)),
    Entry(
        "multi-head attention",
        VisionTransformer,
        _images,
        resource="parameters",
        outputs=("head",),
    ),
    Entry(
        "joint projection",
        JointProjection,
        lambda: torch.rand(2, 10, 12),
        resource="parameters",
        outputs=("head",),
    ),
    Entry(
        "tied weights",
        TiedLanguageModel,
        tokens(12, vocabulary=50),
        resource="parameters",
        outputs=("head",),
    ),
]
