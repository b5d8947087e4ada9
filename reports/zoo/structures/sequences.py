"""Structures over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..entries import Entry


class Signals(nn.Module):
    """Convolutions over time, then a bidirectional LSTM: Torch-Pruning 44, 276, 404 and 451."""

    def __init__(self, sensors: int = 6, width: int = 24, hidden: int = 32, classes: int = 8):
        super().__init__()
        self.convolution1 = nn.Conv1d(sensors, 32, 5, padding=2)
        self.norm1 = nn.BatchNorm1d(32)
        self.convolution2 = nn.Conv1d(32, width, 5, stride=2, padding=2)
        self.norm2 = nn.BatchNorm1d(width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.norm3 = nn.LayerNorm(2 * hidden)
        self.hidden = nn.Linear(2 * hidden, 48)
        self.head = nn.Linear(48, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of eight classes."""
        x = torch.relu(self.norm1(self.convolution1(x)))
        x = torch.relu(self.norm2(self.convolution2(x))).transpose(1, 2)
        sequence, (last, _) = self.lstm(x)
        pooled = self.norm3(sequence).mean(dim=1) + torch.cat([last[-2], last[-1]], dim=1)
        return self.head(torch.relu(self.hidden(pooled)))


ENTRIES = [
    Entry(
        "convolutions and LSTM",
        Signals,
        lambda: torch.rand(2, 6, 40),
        resource="parameters",
        outputs=("head",),
    )
]
