"""Attention by torch's own layers and functions."""

import torch
from torch import nn
from torch.nn import functional

from ..case import SEQUENCES, Cases

CASES = Cases()


class Around(nn.Module):
    """A residual stream around something."""

    def __init__(self, inner, width=12):
        super().__init__()
        self.stem = nn.Linear(12, width)
        self.inner = inner
        self.head = nn.Linear(width, 3)

    def forward(self, values):
        stream = self.stem(values)
        return self.head(stream + self.inner(stream))


class Itself(nn.MultiheadAttention):
    def forward(self, values):
        return super().forward(values, values, values, need_weights=False)[0]


class Multihead(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 4, **options)

    def forward(self, values):
        return self.attention(values, values, values)[0]


@CASES.add(
    SEQUENCES,
    "inner.attention.out_proj stem: 12",
    "(inner.attention.in_proj_weight): 4",
    narrow=["inner.attention.out_proj stem: 12", "(inner.attention.in_proj_weight): 3"],
)
def multihead():
    return Around(Multihead(batch_first=True))


@CASES.add(
    SEQUENCES,
    "inner.attention.out_proj stem: 12",
    "(inner.attention.in_proj_weight): 4",
    narrow=["inner.attention.out_proj stem: 12", "(inner.attention.in_proj_weight): 3"],
)
def multihead_without_bias():
    return Around(Multihead(bias=False, batch_first=True))


@CASES.add(
    lambda: (torch.randn(2, 5, 12), torch.randn(2, 7, 6)),
    "(attention.q_proj_weight): 4",
    "keys: 6",
    "queries: 12",
    "attention.out_proj: 12",
    narrow=["(attention.q_proj_weight): 3", "keys: 6", "queries: 12", "attention.out_proj: 12"],
)
class Crossed(nn.Module):
    """Keys and values of other widths than the queries', with masks."""

    def __init__(self):
        super().__init__()
        self.queries = nn.Linear(12, 12)
        self.keys = nn.Linear(6, 6)
        self.attention = nn.MultiheadAttention(12, 4, kdim=6, vdim=6, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, values, others):
        keys = torch.relu(self.keys(others))
        padding = torch.zeros(others.shape[:2], dtype=torch.bool)
        padding[:, -1] = True
        mask = torch.ones(values.shape[1], others.shape[1], dtype=torch.bool).triu(3)
        output, _ = self.attention(
            self.queries(values), keys, keys, key_padding_mask=padding, attn_mask=mask
        )
        return self.head(output)


@CASES.add(
    SEQUENCES,
    "stem: 12",
    "attention.out_proj: 12",
    narrow=["stem: 12", "attention.out_proj: 12", "(attention.in_proj_weight): 3"],
)
class WeightsReturned(nn.Module):
    """The mean of all heads' weights is an output, so that all heads must stay, but not wide."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 12)
        self.attention = nn.MultiheadAttention(12, 4, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, values):
        stream = self.stem(values)
        output, weights = self.attention(stream, stream, stream)
        return self.head(output), weights


def _encoder(**options):
    return nn.TransformerEncoderLayer(12, 4, 16, dropout=0.0, batch_first=True, **options)


for _name, _options in {"encoder": {}, "encoder_norm_first": {"norm_first": True}}.items():
    CASES.add(
        SEQUENCES,
        "inner.linear1: 16",
        "inner.linear2 inner.self_attn.out_proj stem: 12",
        "(inner.self_attn.in_proj_weight): 4",
        name=_name,
        narrow=[
            "inner.linear1: 16",
            "inner.linear2 inner.self_attn.out_proj stem: 12",
            "(inner.self_attn.in_proj_weight): 3",
        ],
    )(lambda options=_options: Around(_encoder(activation="gelu", **options)))


@CASES.add(
    SEQUENCES,
    "layers.layers.0.linear2 layers.layers.0.self_attn.out_proj layers.layers.1.linear2 "
    "layers.layers.1.self_attn.out_proj stem: 12",
    "layers.layers.0.linear1: 16",
    "layers.layers.1.linear1: 16",
    "(layers.layers.0.self_attn.in_proj_weight): 4",
    "(layers.layers.1.self_attn.in_proj_weight): 4",
)
class Encoders(nn.Module):
    """nn.TransformerEncoder itself, the fast path of which would run all of a layer at once."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 12)
        self.layers = nn.TransformerEncoder(_encoder(), 2)
        self.head = nn.Linear(12, 3)

    def forward(self, values):
        return self.head(self.layers(self.stem(values)))


@CASES.add(
    lambda: (torch.randn(2, 5, 12), torch.randn(2, 7, 12)),
    "(layer.multihead_attn.in_proj_weight): 4",
    "(layer.self_attn.in_proj_weight): 4",
    "layer.linear1: 16",
    frozen={"stem": "multihead_attn"},
    narrow=[
        "(layer.multihead_attn.in_proj_weight): 3",
        "(layer.self_attn.in_proj_weight): 3",
        "layer.linear1: 16",
    ],
)
class Decoder(nn.Module):
    """One weight reads the stream and the memory, which is an input of the network."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 12)
        self.layer = nn.TransformerDecoderLayer(12, 4, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, values, memory):
        mask = nn.Transformer.generate_square_subsequent_mask(values.shape[1])
        return self.head(self.layer(self.stem(values), memory, tgt_mask=mask))


class Separate(nn.Module):
    """Layers of their own for queries, keys and values, and torch's attention."""

    def __init__(self, **options):
        super().__init__()
        self.heads = 4
        self.options = options
        self.q, self.k, self.v, self.out = (nn.Linear(12, 12) for _ in range(4))

    def split(self, values):
        return values.view(*values.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, values):
        q, k, v = (self.split(layer(values)) for layer in (self.q, self.k, self.v))
        found = functional.scaled_dot_product_attention(q, k, v, **self.options)
        return self.out(found.transpose(1, 2).flatten(2))


for _name, _options in {"scaled_dot_product": {}, "causal": {"is_causal": True}}.items():
    CASES.add(
        SEQUENCES,
        "inner.out stem: 12",
        "inner.k inner.q inner.v: 4",
        name=_name,
        narrow=["inner.out stem: 12", "inner.k inner.q: 3", "inner.v: 3"],
    )(lambda options=_options: Around(Separate(**options)))
