"""Attention written by hand."""

import torch
from torch import nn
from torch.nn import functional

from ..case import SEQUENCES, Cases
from .attention import Around

CASES = Cases()


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.qkv: 4", name="fused_reshaped")
def _fused_reshaped():
    return Around(Reshaped())


class Reshaped(nn.Module):
    """As timm's: one layer for all three, one view."""

    def __init__(self):
        super().__init__()
        self.num_heads = 4
        self.head_dim = 3
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)

    def forward(self, values):
        batch, length, _ = values.shape
        qkv = self.qkv(values).reshape(batch, length, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * self.scale) @ k.transpose(-2, -1)
        found = weights.softmax(-1) @ v
        return self.out(
            found.transpose(1, 2).reshape(batch, length, self.num_heads * self.head_dim)
        )


@CASES.add(SEQUENCES, "inner.out inner.qkv stem: 4", name="fused_width_from_stream")
def _fused_from_stream():
    return Around(FromStream())


class FromStream(nn.Module):
    """The width of the heads together is read off the stream: both shrink in proportion."""

    def __init__(self):
        super().__init__()
        self.num_heads = 4
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)

    def forward(self, values):
        batch, length, width = values.shape
        qkv = self.qkv(values).reshape(batch, length, 3, self.num_heads, width // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-2, -1)
        found = weights.softmax(-1) @ v
        return self.out(found.transpose(1, 2).reshape(batch, length, width))


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.qkv: 4", name="fused_chunked")
def _fused_chunked():
    return Around(Chunked())


class Chunked(nn.Module):
    """As minGPT's."""

    def __init__(self):
        super().__init__()
        self.heads = 4
        self.width = 12
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)

    def forward(self, values):
        batch, length, _ = values.shape
        q, k, v = self.qkv(values).split(self.width, 2)
        shape = (batch, length, self.heads, self.width // self.heads)
        q, k, v = (part.view(shape).transpose(1, 2) for part in (q, k, v))
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        found = (weights @ v).transpose(1, 2).contiguous().view(batch, length, self.width)
        return self.out(found)


class Attention(nn.Module):
    """Layers for queries, keys and values, as many of these as there are key heads."""

    def __init__(self, heads=4, key_heads=4, width=3):
        super().__init__()
        self.heads = heads
        self.key_heads = key_heads
        self.head_dim = width
        self.q = nn.Linear(12, heads * width)
        self.k = nn.Linear(12, key_heads * width)
        self.v = nn.Linear(12, key_heads * width)
        self.out = nn.Linear(heads * width, 12)


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.k inner.q inner.v: 4", name="by_head_dim")
def _by_head_dim():
    return Around(ByHeadDim())


class ByHeadDim(Attention):
    """As newer language models: the number of heads follows."""

    def forward(self, values):
        shape = (*values.shape[:-1], -1, self.head_dim)
        q, k, v = (layer(values).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = (q @ k.transpose(2, 3) * self.head_dim**-0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(*values.shape[:-1], -1))


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.k inner.q inner.v: 4", name="einsum")
def _einsum():
    return Around(Einsum())


class Einsum(Attention):
    def forward(self, values):
        q, k, v = (
            layer(values).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v)
        )
        weights = torch.einsum("bqhd,bkhd->bhqk", q, k).softmax(-1)
        return self.out(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.k inner.q inner.v: 2", name="grouped_queries")
def _grouped_queries():
    return Around(GroupedQueries(key_heads=2))


class GroupedQueries(Attention):
    """Two heads of queries share keys and values."""

    def forward(self, values):
        batch, length, _ = values.shape
        q = self.q(values).view(batch, length, -1, self.head_dim).transpose(1, 2)
        k, v = (
            layer(values)
            .view(batch, length, -1, self.head_dim)
            .transpose(1, 2)
            .repeat_interleave(self.heads // self.key_heads, 1)
            for layer in (self.k, self.v)
        )
        found = functional.scaled_dot_product_attention(q, k, v)
        return self.out(found.transpose(1, 2).reshape(batch, length, -1))


@CASES.add(SEQUENCES, "inner.out stem: 12", "inner.k inner.q inner.v: 2", name="expanded_keys")
def _expanded_keys():
    return Around(ExpandedKeys(key_heads=2))


class ExpandedKeys(Attention):
    """As transformers' repeat_kv."""

    def repeated(self, values):
        batch, heads, length, width = values.shape
        times = self.heads // self.key_heads
        values = values[:, :, None].expand(batch, heads, times, length, width)
        return values.reshape(batch, heads * times, length, width)

    def forward(self, values):
        shape = (*values.shape[:-1], -1, self.head_dim)
        q, k, v = (layer(values).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = self.repeated(k), self.repeated(v)
        weights = (q @ k.transpose(2, 3)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(*values.shape[:-1], -1))


@CASES.add(SEQUENCES, "inner.k inner.q inner.v: 4", "inner.out stem: 12", name="rotary")
def _rotary():
    return Around(Rotary(width=4))


class Rotary(Attention):
    def rotated(self, values):
        length, width = values.shape[-2:]
        angles = torch.arange(length)[:, None] / 10 ** torch.arange(width // 2)
        angles = torch.cat([angles, angles], -1)
        first, second = values.chunk(2, -1)
        return values * angles.cos() + torch.cat([-second, first], -1) * angles.sin()

    def forward(self, values):
        shape = (*values.shape[:-1], -1, self.head_dim)
        q, k, v = (layer(values).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v))
        found = functional.scaled_dot_product_attention(self.rotated(q), self.rotated(k), v)
        return self.out(found.transpose(1, 2).flatten(2))


@CASES.add(
    SEQUENCES, "inner.k inner.q: 12", "inner.out stem: 12", "inner.v: 12", name="single_head"
)
def _single_head():
    return Around(SingleHead())


class SingleHead(Attention):
    """One head: its width shrinks, that of queries with keys, that of values by itself."""

    def forward(self, values):
        weights = torch.bmm(self.q(values), self.k(values).transpose(1, 2)).softmax(-1)
        return self.out(torch.bmm(weights, self.v(values)))
