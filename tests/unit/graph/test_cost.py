"""What a network costs: clusters of every kind."""

import torch
from torch import nn

from nni_stress.graph import cost


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 16)
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.rnn = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.up = nn.ConvTranspose1d(16, 6, 2)
        self.head = nn.Linear(6, 3)

    def forward(self, words):
        words = self.words(words)
        words = self.rnn(self.attention(words, words, words, need_weights=False)[0])[0]
        return self.head(self.up(words.transpose(1, 2)).mean(2))


def test_clusters_are_outputs_units_and_heads():
    projections = 16  # the attention's own linear layer
    assert cost.clusters(Everything()) == (4 + projections) + 8 * 2 * 2 + 6 + 3


def test_macs_of_every_kind_of_layer_are_counted():
    """By hand, for 2 words: projections, products of attention, gates, filters, the head."""
    attention = 2 * (4 * 16 * 16) + 2 * (2 * 2 * 16)
    gates = 2 * 2 * 4 * 8 * ((16 + 8) + (16 + 8))  # both layers read 16 and have 8 units
    transposed = 2 * 16 * 6 * 2
    assert cost.macs(Everything(), torch.zeros(1, 2, dtype=torch.long)) == (
        attention + gates + transposed + 6 * 3
    )
