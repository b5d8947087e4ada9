"""Recurrent layers. All layers and directions of one module have equal numbers of units."""

import torch
from torch import nn

from ..case import SEQUENCES, Cases

CASES = Cases()


class Recurrent(nn.Module):
    """A recurrent layer between linear ones."""

    def __init__(self, layer, outputs):
        super().__init__()
        self.stem = nn.Linear(12, 6)
        self.layer = layer
        self.head = nn.Linear(outputs, 3)

    def forward(self, values):
        return self.head(self.layer(torch.relu(self.stem(values)))[0])


for _name, _kind in {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}.items():
    _l0 = "(layer.weight_ih_l0): 8"
    CASES.add(SEQUENCES, "stem: 6", _l0, name=_name)(
        lambda kind=_kind: Recurrent(kind(6, 8, batch_first=True), 8)
    )
    CASES.add(SEQUENCES, "stem: 6", _l0, name=f"{_name}_stacked")(
        lambda kind=_kind: Recurrent(kind(6, 8, num_layers=2, batch_first=True), 8)
    )
    CASES.add(SEQUENCES, "stem: 6", _l0, name=f"{_name}_bidirectional")(
        lambda kind=_kind: Recurrent(
            kind(6, 8, bidirectional=True, bias=False, batch_first=True), 16
        )
    )


@CASES.add(SEQUENCES, "stem: 6", "(layer.weight_hh_l0): 4", "(layer.weight_ih_l0): 8")
def lstm_projected():
    return Recurrent(nn.LSTM(6, 8, proj_size=4, batch_first=True), 4)


@CASES.add(SEQUENCES, "stem: 6", "(layer.weight_ih_l0): 8")
class LastState(nn.Module):
    """Reads the last hidden state, from a state that it makes itself."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 6)
        self.layer = nn.LSTM(6, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        start = torch.zeros(1, len(values), self.layer.hidden_size)
        _, (hidden, _) = self.layer(torch.relu(self.stem(values)), (start, start))
        return self.head(hidden[-1])


@CASES.add(SEQUENCES, "(cell.weight_ih): 8")
class Cell(nn.Module):
    """A cell, step by step."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(12, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        state = values.new_zeros(len(values), self.cell.hidden_size)
        for step in values.unbind(1):
            state = self.cell(step, state)
        return self.head(state)
