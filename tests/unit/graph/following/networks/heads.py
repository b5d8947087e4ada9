"""Attention written by hand."""

import torch
from torch import nn
from torch.nn import functional

from ..case import SEQUENCES, Cases
from .attention import Around

CASES = Cases()


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.qkv: 4",
    name="fused_reshaped",
    narrow=["inner.out stem: 12", "inner.qkv: 3"],
)
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


@CASES.add(
    SEQUENCES,
    "inner.out inner.qkv stem: 4",
    name="fused_width_from_stream",
    narrow=["inner.out inner.qkv stem: 4"],
)
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


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.qkv: 4",
    name="fused_chunked",
    narrow=["inner.out stem: 12", "inner.qkv: 3"],
)
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


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.k inner.q inner.v: 4",
    name="by_head_dim",
    narrow=["inner.out stem: 12", "inner.k inner.q inner.v: 3"],
)
def _by_head_dim():
    return Around(ByHeadDim())


class ByHeadDim(Attention):
    """As newer language models: the number of heads follows."""

    def forward(self, values):
        shape = (*values.shape[:-1], -1, self.head_dim)
        q, k, v = (layer(values).view(shape).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = (q @ k.transpose(2, 3) * self.head_dim**-0.5).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(*values.shape[:-1], -1))


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.k inner.q inner.v: 4",
    name="einsum",
    narrow=["inner.out stem: 12", "inner.k inner.q: 3", "inner.v: 3"],
)
def _einsum():
    return Around(Einsum())


class Einsum(Attention):
    def forward(self, values):
        q, k, v = (
            layer(values).unflatten(-1, (self.heads, -1)) for layer in (self.q, self.k, self.v)
        )
        weights = torch.einsum("bqhd,bkhd->bhqk", q, k).softmax(-1)
        return self.out(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.k inner.q inner.v: 2",
    name="grouped_queries",
    narrow=["inner.out stem: 12", "inner.k inner.q inner.v: 3"],
)
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


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.k inner.q inner.v: 2",
    name="expanded_keys",
    narrow=["inner.out stem: 12", "inner.k inner.q inner.v: 3"],
)
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


@CASES.add(
    SEQUENCES,
    "inner.k inner.q inner.v: 4",
    "inner.out stem: 12",
    name="rotary",
    narrow=["inner.k inner.q inner.v: 4", "inner.out stem: 12"],
)
def _rotary():
    """The angles follow from the width, so that whole heads go all the same."""
    return Around(Rotary(width=4))


class Rotary(Attention):
    def frequencies_of(self, width):
        return 1 / 10 ** torch.arange(width // 2)

    def rotated(self, values):
        length, width = values.shape[-2:]
        angles = torch.arange(length)[:, None] * self.frequencies_of(width)
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


@CASES.add(
    SEQUENCES,
    "inner.k inner.q inner.v: 4",
    "inner.out stem: 12",
    name="rotary_buffer",
    narrow=["inner.k inner.q inner.v: 2", "inner.out stem: 12"],
)
def _rotary_buffer():
    return Around(RotaryBuffer())


class RotaryBuffer(Rotary):
    """As language models': each frequency turns two of a head's features."""

    def __init__(self):
        super().__init__(width=4)
        self.register_buffer("frequencies", torch.tensor([1.0, 0.1]))

    def frequencies_of(self, width):
        return self.frequencies


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.qkv: 4",
    name="fused_and_scaled",
    narrow=["inner.out stem: 12", "inner.qkv: 3"],
)
def _fused_and_scaled():
    return Around(FusedAndScaled())


class FusedAndScaled(Reshaped):
    """One layer for all three, and torch scales by the width, which it takes from the queries."""

    def forward(self, values):
        batch, length, _ = values.shape
        qkv = self.qkv(values).reshape(batch, length, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        found = functional.scaled_dot_product_attention(q, k, v)
        return self.out(found.transpose(1, 2).reshape(batch, length, -1))


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    "inner.k inner.q inner.v: 4",
    name="normed_queries",
    narrow=["inner.out stem: 12", "inner.k inner.q inner.v: 3"],
)
def _normed_queries():
    return Around(NormedQueries())


class NormedQueries(Attention):
    """Queries and keys are normalized, head by head."""

    def __init__(self):
        super().__init__()
        self.q_norm = nn.LayerNorm(3)
        self.k_norm = nn.RMSNorm(3)

    def forward(self, values):
        shape = (*values.shape[:-1], -1, self.head_dim)
        q = self.q_norm(self.q(values).view(shape)).transpose(1, 2)
        k = self.k_norm(self.k(values).view(shape)).transpose(1, 2)
        v = self.v(values).view(shape).transpose(1, 2)
        found = functional.scaled_dot_product_attention(q, k, v)
        return self.out(found.transpose(1, 2).flatten(2))


@CASES.add(
    SEQUENCES,
    "inner.out stem: 12",
    name="literal_heads",
    narrow=["inner.out stem: 12", "inner.k inner.q: 3", "inner.v: 3"],
)
def _literal_heads():
    return Around(LiteralHeads())


class LiteralHeads(Attention):
    """The number of heads is a number in the program; queries and keys are scaled, each."""

    def forward(self, values):
        batch, length, _ = values.shape
        q, k, v = (
            layer(values).view(batch, length, 4, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        scale = q.shape[-1] ** -0.25
        weights = ((q * scale) @ (k * scale).transpose(2, 3)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


@CASES.add(
    SEQUENCES,
    "inner.k inner.q: 12",
    "inner.out stem: 12",
    "inner.v: 12",
    name="scaled_single_head",
)
def _scaled_single_head():
    return Around(ScaledSingleHead())


class ScaledSingleHead(Attention):
    """One head, with a scale that follows from the width of the keys."""

    def forward(self, values):
        keys = self.k(values)
        scores = torch.bmm(self.q(values), keys.transpose(1, 2)) / keys.size(-1) ** 0.5
        return self.out(torch.bmm(scores.softmax(-1), self.v(values)))


@CASES.add(SEQUENCES, "inner: 8", "stem: 12", name="likeness")
def _likeness():
    return Likeness()


class Likeness(nn.Module):
    """One layer makes both operands of a product that is scaled by its width."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 12)
        self.inner = nn.Linear(12, 8)
        self.head = nn.Linear(5, 3)

    def forward(self, values):
        features = self.inner(torch.relu(self.stem(values)))
        likeness = features @ features.transpose(1, 2) / features.shape[-1] ** 0.5
        return self.head(likeness)
