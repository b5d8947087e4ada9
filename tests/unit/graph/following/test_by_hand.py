"""Cut networks are those that one would have built by hand, with the weights that are left."""

from typing import Any

import torch
from torch import nn

from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.following.cutting import cut

from .networks import CASES
from .networks.attention import Around, Separate


def cut_to(
    network: nn.Module, inputs: Any, kept: dict[str, list[int]], attention: str = "heads"
) -> nn.Module:
    """Cut a network in place; for groups of layers or tensors, what is kept of their clusters."""
    graph = ClusterGraph(network, inputs, attention)
    gone: set[int] = set()
    for name, indices in kept.items():
        own = next(
            clusters
            for group, clusters in zip(graph.groups, graph.clusters)
            if name in group.layers
            or any(t.tensor == name and clusters[0] in t.clusters for t in graph.traces.values())
        )
        gone.update(cluster for index, cluster in enumerate(own) if index not in indices)
    cut(network, graph.structure, gone)
    return network.eval()


def same(small: nn.Module, by_hand: nn.Module, inputs: Any) -> bool:
    """Whether two networks have the same weights and attributes, and compute the same."""
    state, other = small.state_dict(), by_hand.eval().state_dict()
    assert list(state) == list(other)
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert str(small) == str(by_hand)
    return torch.allclose(small(inputs), by_hand(inputs), atol=1e-6)


def test_linear_layers():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)).eval()
    by_hand = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    rows = [0, 2, 3]
    by_hand.load_state_dict(
        {
            "0.weight": network[0].weight[rows],
            "0.bias": network[0].bias[rows],
            "2.weight": network[2].weight[:, rows],
            "2.bias": network[2].bias,
        }
    )
    inputs = torch.randn(3, 4)
    assert same(cut_to(network, inputs, {"0": rows}), by_hand, inputs)


def test_a_grouped_convolution():
    torch.manual_seed(0)
    first, grouped, last = nn.Conv1d(2, 4, 1), nn.Conv1d(4, 6, 1, groups=2), nn.Conv1d(6, 3, 1)
    by_hand = nn.Sequential(nn.Conv1d(2, 2, 1), nn.Conv1d(2, 4, 1, groups=2), nn.Conv1d(4, 3, 1))
    rows = [0, 2, 3, 5]  # the first group reads channel 1, the second channel 2
    read = torch.tensor([1, 1, 0, 0]).view(-1, 1, 1)
    by_hand.load_state_dict(
        {
            "0.weight": first.weight[[1, 2]],
            "0.bias": first.bias[[1, 2]],
            "1.weight": grouped.weight[rows].gather(1, read),
            "1.bias": grouped.bias[rows],
            "2.weight": last.weight[:, rows],
            "2.bias": last.bias,
        }
    )
    inputs = torch.randn(2, 2, 5)
    small = cut_to(nn.Sequential(first, grouped, last), inputs, {"0": [1, 2], "1": rows})
    assert same(small, by_hand, inputs)


def test_a_grouped_convolution_that_loses_outputs_only():
    torch.manual_seed(0)
    first, grouped, last = nn.Conv1d(2, 4, 1), nn.Conv1d(4, 8, 1, groups=2), nn.Conv1d(8, 3, 1)
    by_hand = nn.Sequential(nn.Conv1d(2, 4, 1), nn.Conv1d(4, 4, 1, groups=2), nn.Conv1d(4, 3, 1))
    rows = [0, 2, 4, 7]
    by_hand.load_state_dict(
        {
            "0.weight": first.weight,
            "0.bias": first.bias,
            "1.weight": grouped.weight[rows],
            "1.bias": grouped.bias[rows],
            "2.weight": last.weight[:, rows],
            "2.bias": last.bias,
        }
    )
    inputs = torch.randn(2, 2, 5)
    assert same(cut_to(nn.Sequential(first, grouped, last), inputs, {"1": rows}), by_hand, inputs)


def test_a_configuration_that_others_refer_to_stays_what_it_is():
    network = CASES["sizes.Configured"].make()
    configuration = network.config
    small = cut_to(network, torch.randn(2, 5), {"stem": [0, 1, 2]})
    assert vars(configuration) == vars(CASES["sizes.Configured"].make().config)
    assert vars(small.config) != vars(configuration)


def test_attention_with_two_of_four_heads():
    torch.manual_seed(0)
    network = Around(Separate()).eval()
    inner = network.inner
    rows = [0, 1, 2, 6, 7, 8]
    by_hand = Around(Separate())
    by_hand.load_state_dict(network.state_dict())
    by_hand.inner.heads = 2
    for name in ("q", "k", "v"):
        layer = getattr(inner, name)
        other = nn.Linear(12, 6)
        other.load_state_dict({"weight": layer.weight[rows], "bias": layer.bias[rows]})
        setattr(by_hand.inner, name, other)
    by_hand.inner.out = nn.Linear(6, 12)
    by_hand.inner.out.load_state_dict({"weight": inner.out.weight[:, rows], "bias": inner.out.bias})
    inputs = torch.randn(2, 5, 12)
    small = cut_to(network, inputs, {"inner.q": [0, 2]})
    assert small.inner.heads == 2
    assert same(small, by_hand, inputs)


def test_attention_with_two_of_three_features_in_each_head():
    torch.manual_seed(0)
    network = Around(Separate()).eval()
    inner = network.inner
    rows = {
        "q": [0, 2, 3, 5, 6, 8, 9, 11],
        "k": [0, 2, 3, 5, 6, 8, 9, 11],
        "v": [1, 2, 4, 5, 7, 8, 10, 11],
    }
    factor = {"q": (2 / 3) ** 0.5, "k": 1.0, "v": 1.0}  # as torch divides by less
    by_hand = Around(Separate())
    by_hand.load_state_dict(network.state_dict())
    for name, own in rows.items():
        layer = getattr(inner, name)
        other = nn.Linear(12, 8)
        state = {"weight": layer.weight[own], "bias": layer.bias[own]}
        other.load_state_dict({key: value * factor[name] for key, value in state.items()})
        setattr(by_hand.inner, name, other)
    by_hand.inner.out = nn.Linear(8, 12)
    out = {"weight": inner.out.weight[:, rows["v"]], "bias": inner.out.bias}
    by_hand.inner.out.load_state_dict(out)
    inputs = torch.randn(2, 5, 12)
    small = cut_to(network, inputs, {"inner.q": [0, 2], "inner.v": [1, 2]}, "width")
    assert small.inner.heads == 4
    assert same(small, by_hand, inputs)


def test_an_lstm_with_fewer_hidden_units():
    torch.manual_seed(0)
    network = CASES["recurrent.lstm"].make().eval()
    layer, rows = network.layer, [1, 4, 6]
    gates = [gate * 8 + row for gate in range(4) for row in rows]
    other = nn.LSTM(6, 3, batch_first=True)
    other.load_state_dict(
        {
            "weight_ih_l0": layer.weight_ih_l0[gates],
            "weight_hh_l0": layer.weight_hh_l0[gates][:, rows],
            "bias_ih_l0": layer.bias_ih_l0[gates],
            "bias_hh_l0": layer.bias_hh_l0[gates],
        }
    )
    by_hand = CASES["recurrent.lstm"].make()
    by_hand.layer = other
    by_hand.stem.load_state_dict(network.stem.state_dict())
    by_hand.head = nn.Linear(3, 3)
    by_hand.head.load_state_dict(
        {"weight": network.head.weight[:, rows], "bias": network.head.bias}
    )
    inputs = torch.randn(2, 5, 12)
    small = cut_to(network, inputs, {"layer.weight_ih_l0": rows})
    assert small.layer.hidden_size == 3
    assert torch.allclose(small(inputs), by_hand.eval()(inputs), atol=1e-6)


def test_a_residual_stream_with_layer_norms():
    torch.manual_seed(0)
    network = CASES["norms.LayerNorm"].make().eval()
    rows = [0, 3, 4, 5, 7]
    inputs = torch.randn(2, 4, 5)
    small = cut_to(network, inputs, {"stem": rows})
    assert small.before.normalized_shape == (5,)
    stream = small.stem(inputs)
    normed = nn.functional.layer_norm(
        stream, (5,), small.before.weight, small.before.bias, small.before.eps
    )
    stream = stream + small.hidden(torch.relu(small.wide(normed)))
    expected = small.head(
        nn.functional.layer_norm(
            stream, (5,), small.after.weight, small.after.bias, small.after.eps
        )
    )
    whole = CASES["norms.LayerNorm"].make()
    assert torch.allclose(small(inputs), expected, atol=1e-6)
    assert small.stem.weight.shape == (5, whole.stem.in_features)


def test_layers_normalized_by_their_weights_norms_keep_their_weights():
    torch.manual_seed(0)
    network = CASES["layers.weight_norm"].make().eval()
    weight = network.body[2].weight.detach()
    inputs = torch.randn(2, 3, 6, 6)
    small = cut_to(network, inputs, {"body.0.bias": [0, 5], "body.2.bias": [1, 2, 3]})
    assert torch.allclose(small.body[2].weight, weight[[1, 2, 3]][:, [0, 5]], atol=1e-6)
    assert (small.body[2].in_channels, small.body[2].out_channels) == (2, 3)
