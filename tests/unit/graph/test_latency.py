"""Latency, measured and as a budget; only what holds for any measured times is asserted."""

import itertools
import types

import pytest
import torch
from nni.compression.pruning import L1NormPruner

from nni_stress import StressPruner
from nni_stress.graph import cost, latency
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.memory_layout import memory_format_of
from tests.helpers.slow import all_but
from tests.unit.graph.test_cluster_graph import NETWORKS as CASES
from tests.unit.pruning.test_budget import EVERY, NETWORKS, make

# Each takes seconds to measure; the others have their kinds of layers.
SLOW = {"lenet5", "residual", "concatenated", "passthrough", "resnet18", "mobilenet_v2"}


@pytest.mark.parametrize("name", all_but({"alexnet", "vgg11_bn"}, CASES))
def test_a_resized_network_has_the_counted_size(name):
    factory, shape = CASES[name][:2]
    torch.manual_seed(0)
    network = factory().eval()
    images = torch.rand(2, *shape)
    graph = ClusterGraph(network, images)
    keep = [
        max(group.blocks, group.clusters // 2 // group.blocks * group.blocks)
        for group in graph.groups
    ]
    before = cost.synapses(network)
    answer = network(images)
    small = graph.resized(network, keep)
    assert cost.synapses(small) == graph.parameters(keep)
    assert cost.macs(small, images) == graph.macs(keep)
    assert small(images).shape == answer.shape
    assert cost.synapses(network) == before and torch.equal(network(images), answer)


def test_a_resized_network_is_measured_in_its_memory_format():
    network, images = make("lenet5")
    network = network.to(memory_format=torch.channels_last)
    graph = ClusterGraph(network, images)
    small = graph.resized(network, [max(1, group.clusters // 2) for group in graph.groups])
    assert memory_format_of(small) == torch.channels_last


@pytest.mark.parametrize(
    "name", all_but({"mobilenet_v2"}, ["lenet5", "gated", "grouped", "mobilenet_v2"])
)
def test_larger_layers_have_no_less_latency(name):
    network, images = make(name)
    graph = ClusterGraph(network, images)
    layers = latency.layer_latencies(graph, network)

    def seconds(keep):
        return sum(layers(keep).values())

    sizes = [group.clusters for group in graph.groups]
    least = [group.blocks for group in graph.groups]
    half = [
        max(low, size // 2 // group.blocks * group.blocks)
        for low, size, group in zip(least, sizes, graph.groups)
    ]
    assert 0 < seconds(least) <= seconds(half) <= seconds(sizes)
    assert seconds(half) == seconds(list(half))  # measured once


@pytest.mark.parametrize("name", all_but(SLOW, NETWORKS))
def test_an_offspring_of_a_latency_budget_is_smaller_and_answers(name):
    network, images = make(name)
    before = cost.macs(network, images)
    answer = network(images)
    pruner = StressPruner(
        network, EVERY, budget={"latency": 0.6}, example_input=images, temperature=0
    )
    pruner.compress()
    small = pruner.synthesize(images)
    assert cost.macs(small, images) < before and small(images).shape == answer.shape


def test_what_another_compressor_wrapped_is_measured_without_its_wrappers():
    network, images = make("lenet5")
    first = L1NormPruner(network, [{"op_names": ["conv1"], "sparse_ratio": 0.5}])
    _, before = first.compress()
    pruner = StressPruner.from_compressor(
        first, [{"op_names": ["conv2", "fc1"]}], budget={"latency": 0.9}, example_input=images
    )
    _, masks = pruner.compress()
    assert torch.equal(masks["conv1"]["weight"], before["conv1"]["weight"])
    small = pruner.synthesize(images)
    assert (
        small.conv1.out_channels == 10
        and cost.synapses(small) < 431_080
        and small(images).shape == (4, 10)
    )


def test_a_latency_out_of_reach_is_reported_and_removes_only_what_helps(caplog):
    network, images = make("residual")
    pruner = StressPruner(network, EVERY, budget={"latency": 1e-6}, example_input=images)
    _, masks = pruner.compress()
    assert (
        "the budget is missed" in caplog.text
        and "of the latency is the nearest to 1e-06 that was measured" in caplog.text
    )
    assert "the least the layers can keep takes" in caplog.text
    assert any(int(targets["weight"].flatten(1).any(1).sum()) > 1 for targets in masks.values())


class Delay(torch.nn.Module):
    """Lets a simulated clock advance by so many seconds at each forward pass."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.clock = clock
        self.seconds = itertools.cycle(seconds)

    def forward(self, inputs):
        self.clock.now += next(self.seconds)
        return inputs


def test_the_ratio_is_the_median_over_turns_by_the_clock(monkeypatch):
    """Every fifth pass of the network is disturbed; the reference takes 2 seconds."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock.now)
    network = Delay(clock, [1.0, 1.0, 1.0, 1.0, 90.0])
    reference = Delay(clock, [2.0])
    assert latency.ratio(network, reference, (torch.zeros(1),), seconds=60.0) == 0.5
    assert clock.now >= 60.0
