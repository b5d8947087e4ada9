"""Transformers for the contract tests, in a file because NNI's tracer reads their source."""

import torch
from torch import nn
from torch.nn import functional


class Transformer(nn.Module):
    """One block: layer norm first, attention with one projection for all, two shortcuts."""

    def __init__(self):
        super().__init__()
        self.first_norm = nn.LayerNorm(12)
        self.second_norm = nn.LayerNorm(12)
        self.attend = nn.Linear(12, 36)
        self.mix = nn.Linear(12, 12)
        self.wide = nn.Linear(12, 24)
        self.narrow = nn.Linear(24, 12)
        self.head = nn.Linear(12, 4)

    def forward(self, words):
        queries, keys, values = self.attend(self.first_norm(words)).chunk(3, -1)
        words = words + self.mix(functional.scaled_dot_product_attention(queries, keys, values))
        words = words + self.narrow(functional.gelu(self.wide(self.second_norm(words))))
        return self.head(words.mean(1))


class TorchTransformer(nn.Module):
    """PyTorch's own encoder layer: to NNI's tracer a single module."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(12, 3, 24, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, words):
        return self.head(torch.relu(self.encoder(words)).mean(1))
