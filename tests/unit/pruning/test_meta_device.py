"""Plans for networks without data: on the meta device, weights have shapes and no values."""

import copy

import pytest
import torch
from torch import nn

from nni_stress import StressPruner
from tests.helpers.networks import TorchTransformer, Transformer

LAYERS = [{"op_types": ["Linear", "Conv2d"]}]


def convolutions():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )


NETWORKS = {
    "convolutions": (convolutions, (2, 3, 8, 8)),
    "transformer": (Transformer, (2, 5, 12)),
    "torch's transformer": (TorchTransformer, (2, 5, 12)),
}


def shapes(network):
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def macs(network, inputs):
    """Of linear layers and convolutions, for one batch."""
    found = []

    def count(layer, args, output):
        found.append(layer.weight[0].numel() * output.numel())

    layers = [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    network(inputs)
    for hook in hooks:
        hook.remove()
    return sum(found)


def alike(network):
    """The network with the same weights everywhere: all clusters of a layer are equally strong."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.01)
    return network


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_has_the_shapes_of_a_network_with_equal_strengths(name):
    make, shape = NETWORKS[name]
    network = alike(make()).eval()
    plan = copy.deepcopy(network).to("meta")
    inputs = torch.rand(shape)
    pruners = {
        small: StressPruner(small, LAYERS, budget={"macs": 0.5}, example_input=batch, temperature=0)
        for small, batch in ((network, inputs), (plan, inputs.to("meta")))
    }
    (_, masks), (masked, planned) = (pruner.compress() for pruner in pruners.values())
    assert masked(inputs.to("meta")).is_meta
    assert {
        (layer, target): mask.tolist()
        for layer, targets in planned.items()
        for target, mask in targets.items()
        if mask is not None
    } == {
        (layer, target): mask.tolist()
        for layer, targets in masks.items()
        for target, mask in targets.items()
        if mask is not None
    }
    for small, pruner in pruners.items():
        pruner.synthesize(inputs.to("meta") if small is plan else inputs)
    assert shapes(plan) == shapes(network)
    assert all(tensor.is_meta for tensor in plan.state_dict().values())
    assert plan(inputs.to("meta")).shape == network(inputs).shape


def test_a_plan_reaches_the_budget_and_keeps_the_first_clusters():
    network = convolutions().to("meta").eval()
    inputs = torch.rand(2, 3, 8, 8, device="meta")
    before = macs(network, inputs)
    pruner = StressPruner(
        network, LAYERS, budget={"macs": 0.5}, example_input=inputs, temperature=0
    )
    _, masks = pruner.compress()
    kept = masks["0"]["bias"]
    assert 0 < kept.sum() < 16
    assert torch.equal(kept.view(2, 8), kept.view(2, 8).sort(1, descending=True).values)
    assert 0.35 * before < macs(pruner.synthesize(inputs), inputs) <= 0.5 * before


@pytest.mark.parametrize("known", [False, True])
def test_a_plan_by_ratio_loses_what_the_ratio_says(known):
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to("meta")
    inputs = torch.rand(3, 4, device="meta")
    config = [{"op_names": ["0"], "sparse_ratio": 0.5}]
    pruner = StressPruner(network, config, example_input=inputs if known else None)
    _, masks = pruner.compress()
    small = pruner.synthesize(inputs)
    assert small[0].weight.shape == (4, 4)
    assert small[2].weight.is_meta
    assert small[2].weight.shape == (2, 4)
    assert int(masks["0"]["bias"].sum()) == 4


def test_a_plan_cannot_go_on_from_a_plan_whose_masks_have_no_values():
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to("meta")
    config = [{"op_names": ["0"], "sparse_ratio": 0.5}]
    first = StressPruner(network, config)
    first.compress()
    with pytest.raises(TypeError, match="those of 0 are on the meta device"):
        StressPruner.from_compressor(first, config)
