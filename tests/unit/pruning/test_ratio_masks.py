"""Whatever rule of NNI's draws the masks: the masked network computes what the small one will."""

import pytest
import torch
from nni.compression.pruning import L1NormPruner
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph import cost


def branches():
    return nn.ModuleDict(
        {
            "stem": nn.Conv2d(3, 12, 3, padding=1),
            "norm": nn.BatchNorm2d(12),
            "up": nn.ConvTranspose2d(12, 8, 2, stride=2),
            "side": nn.Conv2d(12, 8, 1),
            "head": nn.Linear(8, 3),
        }
    )


class Network(nn.Module):
    """A norm whose shift a dead channel would send on, and two layers that must agree."""

    def __init__(self):
        super().__init__()
        for name, module in branches().items():
            setattr(self, name, module)
        nn.init.normal_(self.norm.bias)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, images):
        images = self.norm(self.stem(images)).sigmoid()
        side = nn.functional.interpolate(self.side(images), scale_factor=2)
        return self.head((self.up(images) + side).mean((2, 3)))


IMAGES = torch.rand(2, 3, 6, 6)
LAYERS = {"op_names": ["stem", "up", "side"]}
RULES = {
    "ratio": ({**LAYERS, "sparse_ratio": 0.5}, {}),
    "global": ({**LAYERS, "sparse_ratio": 0.5, "global_group_id": "all"}, {}),
    "threshold": ({**LAYERS, "sparse_threshold": 2.7}, {}),
    "at most": ({**LAYERS, "sparse_ratio": 0.5, "max_sparse_ratio": 0.6}, {}),
    "bernoulli": ({**LAYERS, "sparse_ratio": 0.5}, {"sampling": "bernoulli"}),
    "synapses": ({**LAYERS, "sparse_ratio": 0.5}, {"synapse_sparsity": 0.3}),
    "single synapses": ({**LAYERS, "sparse_ratio": 0.5}, {"encoding": "synapse"}),
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_the_small_network_computes_what_the_masked_one_does(rule, known):
    torch.manual_seed(0)
    network = Network().eval()
    config, arguments = RULES[rule]
    before = cost.synapses(network)
    pruner = StressPruner(
        network, [config], temperature=0.1, example_input=IMAGES if known else None, **arguments
    )
    pruner.compress()
    masked = network(IMAGES)
    small = pruner.synthesize(IMAGES)
    assert torch.allclose(small(IMAGES), masked, atol=1e-5)
    if rule == "ratio":
        assert (small.stem.out_channels, small.up.out_channels, small.head.in_features) == (6, 4, 4)
    if rule != "single synapses":
        assert cost.synapses(small) < before


@pytest.mark.parametrize("known", [True, False])
def test_what_another_pruner_removed_is_cut_too(known):
    torch.manual_seed(0)
    network = Network().eval()
    example = IMAGES if known else None
    first = L1NormPruner(network, [{"op_names": ["stem"], "sparse_ratio": 0.25}])
    first.compress()
    second = StressPruner.from_compressor(
        first,
        [{"op_names": ["side", "up"], "sparse_ratio": 0.5}],
        temperature=0,
        example_input=example,
    )
    second.compress()
    masked = network(IMAGES)
    small = second.synthesize(IMAGES)
    assert torch.allclose(small(IMAGES), masked, atol=1e-5)
    assert small.stem.out_channels == 9
