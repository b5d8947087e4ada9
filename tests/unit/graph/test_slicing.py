"""A sliced network is equal to the network that NNI's ModelSpeedup builds."""

import copy
import logging

import pytest
import torch
import torchvision.models
from nni.compression.pruning import L1NormPruner, LevelPruner
from nni.compression.speedup import ModelSpeedup
from torch import nn

from nni_stress.graph import slicing
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.synthesis import synthesize
from tests.unit.graph import test_cluster_graph as cases
from trials.models import yolov2

NETWORKS = {
    **cases.NETWORKS,
    "densenet121": (lambda: torchvision.models.densenet121(num_classes=5), (3, 64, 64)),
    "regnet": (lambda: torchvision.models.regnet_y_400mf(num_classes=5), (3, 64, 64)),
    "yolov2": (lambda: yolov2(4, width=0.25), (3, 64, 64)),
}


def pruned(factory, shape, together=True, ratio=0.5):
    """A network with random norms, an input, its graph, and masks that remove whole clusters.

    Layers of one group lose the same clusters if `together`, else each its own.
    """
    torch.manual_seed(1)
    network = factory()
    images = torch.rand(2, *shape)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (
                module.weight.data,
                module.bias.data,
                module.running_mean,
                module.running_var,
            ):
                tensor.uniform_(0.5, 1.5)
    network.eval()
    graph = ClusterGraph(network, images)
    config = cases.config_of(graph, ratio)
    if not together:
        config = [{"op_names": each["op_names"], "sparse_ratio": ratio} for each in config]
    pruner = L1NormPruner(network, config)
    _, masks = pruner.compress()
    pruner.unwrap_model()
    return network, images, graph, masks


def forbid(*_, **__):
    raise AssertionError("ModelSpeedup was called")


def test_a_cluster_stays_if_any_of_its_layers_keeps_it():
    network = cases.Residual().eval()
    images = torch.rand(2, 3, 16, 16)
    graph = ClusterGraph(network, images)
    everything = slicing.survivors(graph, {})
    assert slicing.survivors(graph, masks_of(network, stem=[1])) == everything, (
        "the shortcut needs it"
    )
    assert (
        len(everything - slicing.survivors(graph, masks_of(network, stem=[1, 2], two=[2, 3]))) == 1
    )


@pytest.mark.parametrize("together", [True, False], ids=["together", "separately"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_sliced_network_equals_modelspeedups(name, together, monkeypatch):
    network, images, graph, masks = pruned(*NETWORKS[name], together)
    if not together and any(group.blocks > 1 for group in graph.groups):
        pytest.skip("NNI's pruner alone does not prune the blocks of a grouped convolution equally")
    wanted = ModelSpeedup(
        copy.deepcopy(network), images, copy.deepcopy(masks), logger=logging.getLogger("quiet")
    ).speedup_model()
    wanted.eval()
    before = sum(parameter.numel() for parameter in network.parameters())
    monkeypatch.setattr("nni_stress.graph.synthesis.ModelSpeedup", forbid)
    found = synthesize(network, images, masks)
    assert sum(parameter.numel() for parameter in found.parameters()) < 0.7 * before
    assert found.state_dict().keys() == wanted.state_dict().keys()
    for key, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[key], tensor), key
    assert torch.allclose(found(images), wanted(images), atol=1e-5)
    for key, module in wanted.named_modules():
        for attribute in (
            "in_channels",
            "out_channels",
            "groups",
            "in_features",
            "out_features",
            "num_features",
        ):
            assert getattr(found.get_submodule(key), attribute, None) == getattr(
                module, attribute, None
            ), (key, attribute)


def masks_of(network, **dead):
    return {
        name: {
            "weight": torch.ones_like(network.get_submodule(name).weight).index_fill(
                0, torch.tensor(rows), 0
            )
        }
        for name, rows in dead.items()
    }


def test_other_masks_are_left_to_modelspeedup():
    network = cases.Residual().eval()
    images = torch.rand(2, 3, 16, 16)
    graph = ClusterGraph(network, images)

    def understood(masks):
        return slicing.survivors(graph, masks) is not None

    assert understood({}) and understood(masks_of(network, one=[3, 4], stem=[1], two=[1]))
    assert not understood(masks_of(network, one=list(range(24)))), "a layer would be empty"
    assert not understood(masks_of(network, head=[1])), "the output needs it"
    assert not understood(
        {
            "one": {
                "weight": torch.ones_like(network.one.weight)
                .flatten()
                .index_fill(0, torch.tensor([5]), 0)
                .view_as(network.one.weight)
            }
        }
    ), "a single synapse"
    bias = masks_of(network, one=[3])
    bias["one"]["bias"] = torch.ones(24).index_fill(0, torch.tensor([4]), 0)
    assert not understood(bias), "weight and bias of different clusters"
    assert not understood({"norm": {"weight": torch.zeros(16)}}), "a norm alone"
    pruner = LevelPruner(copy.deepcopy(network), [{"op_types": ["Conv2d"], "sparse_ratio": 0.5}])
    assert not understood(pruner.compress()[1])


def test_blocks_of_a_grouped_convolution_stay_equal():
    network = cases.Grouped().eval()
    images = torch.rand(2, 3, 16, 16)
    graph = ClusterGraph(network, images)
    assert slicing.survivors(graph, masks_of(network, two=[0, 8, 16, 24])) is not None
    assert slicing.survivors(graph, masks_of(network, two=[0, 1, 2, 3])) is None


class Tied(nn.Module):
    """Two layers that share their weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)
        self.two.weight = self.one.weight
        self.wide = nn.Linear(8, 20)
        self.head = nn.Linear(20, 3)

    def forward(self, inputs):
        return self.head(
            torch.relu(self.wide(self.two(torch.relu(self.one(torch.relu(self.stem(inputs)))))))
        )


def test_weights_that_are_shared_stay_shared():
    network = Tied()
    inputs = torch.rand(2, 6)
    found = synthesize(network, inputs, masks_of(network, wide=[0, 3]))
    assert found.wide.out_features == found.head.in_features == 18
    assert found.two.weight is found.one.weight
