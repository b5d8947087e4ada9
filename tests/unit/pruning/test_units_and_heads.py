"""Recurrent layers and attentions named in a config list lose units and heads."""

import pytest
import torch
from torch import nn

import nni_stress
from nni_stress import StressPruner


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(6, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        return self.head(self.rnn(values)[0][:, -1])


class Attentive(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, values):
        return self.head(self.attention(values, values, values, need_weights=False)[0])


RECURRENT = torch.rand(2, 5, 6)
TOKENS = torch.rand(2, 5, 16)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("known", [True, False])
def test_a_ratio_of_a_recurrent_layer_removes_units(kind, known):
    network = Recurrent(kind)
    config = [{"op_types": [kind.__name__], "sparse_ratio": 0.5}]
    pruner = StressPruner(
        network, config, temperature=0, example_input=RECURRENT if known else None
    )
    pruner.compress()
    masked = network(RECURRENT)
    small = pruner.synthesize(RECURRENT)
    assert (small.rnn.hidden_size, small.head.in_features) == (4, 4)
    assert torch.allclose(small(RECURRENT), masked, atol=1e-5)


@pytest.mark.parametrize(
    "config", [{"op_types": ["MultiheadAttention"]}, {"op_names": ["attention"]}]
)
def test_a_ratio_of_an_attention_removes_heads(config):
    network = Attentive()
    pruner = StressPruner(network, [{**config, "sparse_ratio": 0.5}], example_input=TOKENS)
    pruner.compress()
    masked = network(TOKENS)
    small = pruner.synthesize(TOKENS)
    assert small.attention.num_heads == 2
    assert torch.allclose(small(TOKENS), masked, atol=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_a_ratio_of_an_attention_removes_width_in_all_its_heads(known):
    network = Attentive()
    config = [{"op_types": ["MultiheadAttention"], "sparse_ratio": 0.5}]
    example = TOKENS if known else None
    pruner = StressPruner(network, config, example_input=example, attention="width")
    pruner.compress()
    masked = network(TOKENS)
    small = pruner.synthesize(TOKENS)
    assert (small.attention.num_heads, small.attention.head_dim) == (4, 2)
    assert torch.allclose(small(TOKENS), masked, atol=1e-5)


def test_generations_may_remove_heads_and_width_in_turns(tmp_path):
    network = Attentive()
    config = [{"op_types": ["MultiheadAttention"], "sparse_ratio": 0.5}]
    for attention in ("heads", "width"):
        pruner = StressPruner(network, config, attention=attention)
        pruner.compress()
        masked = network(TOKENS)
        network = pruner.synthesize(TOKENS)
        assert torch.allclose(network(TOKENS), masked, atol=1e-5)
    assert (network.attention.num_heads, network.attention.head_dim) == (2, 2)
    nni_stress.save(network, tmp_path / "small.safetensors")
    again = nni_stress.load(tmp_path / "small.safetensors", Attentive)
    assert torch.equal(again(TOKENS), network(TOKENS))


def test_inspect_shows_the_width_of_heads():
    network = Attentive()
    network.attention = nn.MultiheadAttention(16, 2, batch_first=True)
    for attention, number in (("heads", 2), ("width", 8)):
        layers = nni_stress.inspect(network, TOKENS, attention=attention).layers
        assert next(one for one in layers if one.name == "attention").prunable == number


def test_a_budget_may_name_them_alone_or_beside_others():
    for types in (["LSTM"], ["LSTM", "Linear"]):
        pruner = StressPruner(
            Recurrent(nn.LSTM),
            [{"op_types": types}],
            budget={"parameters": 0.5},
            example_input=RECURRENT,
        )
        pruner.compress()
        assert pruner.synthesize(RECURRENT).rnn.hidden_size < 8


def test_layers_that_are_not_named_keep_units():
    layers = {
        layer.name: layer
        for layer in nni_stress.inspect(
            Recurrent(nn.LSTM), RECURRENT, [{"op_names": ["head"], "sparse_ratio": 0.5}]
        ).layers
    }
    assert layers["rnn"].clusters == 8
    with pytest.raises(ValueError, match="nothing"):
        StressPruner(
            Recurrent(nn.LSTM),
            [{"op_types": ["Linear"], "sparse_ratio": 0.5}],
            example_input=RECURRENT,
        )
