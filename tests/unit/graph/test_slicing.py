"""A sliced network is equal to the network that NNI's ModelSpeedup builds."""

import copy
import logging

import pytest
import torch
import torchvision.models
from nni.compression.pruning import L1NormPruner, LevelPruner
from nni.compression.speedup import ModelSpeedup
from torch import nn

from nni_stress.graph import cost, slicing
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.synthesis import synthesize
from tests.helpers.slow import all_but
from tests.unit.graph import test_cluster_graph as cases
from trials.models import yolov2

NETWORKS = {
    **cases.NETWORKS,
    "densenet121": (lambda: torchvision.models.densenet121(num_classes=5), (3, 64, 64)),
    "regnet": (lambda: torchvision.models.regnet_y_400mf(num_classes=5), (3, 64, 64)),
    "yolov2": (lambda: yolov2(4, width=0.25), (3, 64, 64)),
}
SLOW = {"alexnet", "vgg11_bn", "densenet121", "regnet"}


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


def test_a_cluster_stays_if_any_of_its_layers_keeps_it():
    network = cases.Residual().eval()
    images = torch.rand(2, 3, 16, 16)
    graph = ClusterGraph(network, images)
    assert not slicing.removed_by(graph, network, masks_of(network, stem=[1])), "the shortcut"
    both = masks_of(network, stem=[1, 2], two=[2, 3])
    assert slicing.removed_by(graph, network, both) == {graph.outputs["stem"][2]}


@pytest.mark.parametrize("name", all_but(SLOW, NETWORKS))
def test_the_sliced_network_equals_modelspeedups(name):
    network, images, _, masks = pruned(*NETWORKS[name])
    wanted = ModelSpeedup(
        copy.deepcopy(network), images, copy.deepcopy(masks), logger=logging.getLogger("quiet")
    ).speedup_model()
    wanted.eval()
    before = sum(parameter.numel() for parameter in network.parameters())
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


@pytest.mark.parametrize("name", ["residual", "gated", "resnet18"])
def test_of_layers_that_must_agree_the_union_stays_and_the_rest_is_zero(name):
    network, images, _, masks = pruned(*NETWORKS[name], together=False)
    before = cost.synapses(network)
    kept = sum(int(targets["weight"].flatten(1).any(1).sum()) for targets in masks.values())
    found = synthesize(network, images, masks)
    assert cost.synapses(found) < before
    rows = [found.get_submodule(layer).weight.flatten(1).any(1) for layer in masks]
    assert sum(int(alive.sum()) for alive in rows) == kept < sum(map(len, rows))


def masks_of(network, **dead):
    return {
        name: {
            "weight": torch.ones_like(network.get_submodule(name).weight).index_fill(
                0, torch.tensor(rows), 0
            )
        }
        for name, rows in dead.items()
    }


def test_what_masks_remove_besides_whole_clusters_is_zero_in_the_small_network():
    network = cases.Residual().eval()
    images = torch.rand(2, 3, 16, 16)

    def small(masks):
        return synthesize(copy.deepcopy(network), images, masks)

    def zeroed(masks):
        whole = copy.deepcopy(network)
        for layer, targets in masks.items():
            for name, mask in targets.items():
                whole.get_submodule(layer).get_parameter(name).data.mul_(mask)
        return whole(images)

    synapse = torch.ones_like(network.one.weight)
    synapse[0, 5] = 0
    bias = masks_of(network, one=[3])
    bias["one"]["bias"] = torch.ones(24).index_fill(0, torch.tensor([4]), 0)
    level = LevelPruner(copy.deepcopy(network), [{"op_types": ["Conv2d"], "sparse_ratio": 0.5}])
    for masks in (
        {"one": {"weight": synapse}},
        bias,
        masks_of(network, stem=[1]),
        {"norm": {"weight": torch.zeros(16)}},
        level.compress()[1],
    ):
        found = small(masks)
        assert cost.synapses(found) == cost.synapses(network)
        assert torch.allclose(found(images), zeroed(masks), atol=1e-5)


def test_a_layer_never_loses_its_last_cluster_and_outputs_stay(caplog):
    network = cases.Residual().eval()
    images = torch.rand(2, 3, 16, 16)
    found = synthesize(copy.deepcopy(network), images, masks_of(network, one=list(range(24))))
    assert found.one.out_channels == 1
    found = synthesize(copy.deepcopy(network), images, masks_of(network, head=[1]))
    assert torch.equal(found(images), network(images))
    assert "head: all outputs stay" in caplog.text


def test_blocks_of_a_grouped_convolution_stay_equal():
    network = cases.Grouped().eval()
    graph = ClusterGraph(network, torch.rand(2, 3, 16, 16))

    def removed(rows):
        return slicing.removed_by(graph, network, masks_of(network, two=rows))

    assert len(removed([0, 8, 16, 24])) == 4 and not removed([0, 1, 2, 3])


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
