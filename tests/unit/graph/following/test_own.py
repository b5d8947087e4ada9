"""Layers and operators that no operator of PyTorch's shows, by rules of users."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import nni_stress
from nni_stress import Dimensions, StressPruner, testing
from nni_stress.graph.cluster_graph import ClusterGraph


def elsewhere(function, *tensors):
    """Compute by numpy, where nothing is seen of it."""
    return torch.from_numpy(np.ascontiguousarray(function(*(t.detach().numpy() for t in tensors))))


class Gain(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(channels) + 0.5)

    def forward(self, images):
        return elsewhere(lambda x, g: np.tanh(x) * g[:, None, None], images, self.gain)


class Flipped(Gain):
    def forward(self, images):
        return elsewhere(lambda x, g: x[:, ::-1] * g[:, None, None], images, self.gain)


class Mix(nn.Module):
    """Reads channels, has some of its own in between, and keeps a number."""

    def __init__(self, taken, between, made):
        super().__init__()
        self.down, self.up = nn.Linear(taken, between, bias=False), nn.Linear(between, made)
        self.made = made

    def forward(self, images):
        mixed = elsewhere(
            lambda x, d, u: np.einsum("bchw,rc,or->bohw", x, d, u),
            *(images, self.down.weight, self.up.weight),
        )
        assert mixed.shape[1] == self.made
        return mixed + self.up.bias[:, None, None]


class Normalized(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(channels) + 0.5)

    def forward(self, images):
        return elsewhere(
            lambda x, g: (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 0.1) * g,
            *(images, self.gain[:, None, None]),
        )


class Flat(nn.Module):
    def forward(self, images):
        return elsewhere(lambda x: x.reshape(len(x), -1), images)


class Halves(nn.Module):
    """Adds one half of the channels to the other."""

    def forward(self, images):
        return elsewhere(lambda x: x[:, : x.shape[1] // 2] + x[:, x.shape[1] // 2 :], images)


class Product(nn.Module):
    """A product that PyTorch runs, behind the back of what follows it."""

    def __init__(self, taken, made):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(taken, made))

    def forward(self, images):
        moved = images.movedim(1, -1).flatten(0, 2) @ self.weight
        return moved.unflatten(0, (len(images), *images.shape[2:])).movedim(-1, 1)


@torch.library.custom_op("unit::add", mutates_args=())
def scaled(images: torch.Tensor, gain: torch.Tensor, power: int) -> torch.Tensor:
    return images * gain[:, None, None] ** power


class Scaled(Gain):
    def forward(self, images):
        return scaled(images, self.gain, 2)


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):
        return images.clamp(-0.5, 0.5)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Clip(nn.Module):
    def forward(self, images):
        return Clipped.apply(images)


IN_PLACE = Dimensions("batch c ...", "batch c ...", {"gain": "c"})
MIX = Dimensions(
    "batch taken ...",
    "batch made ...",
    {"down.weight": "between taken", "up.weight": "made between", "up.bias": "made"},
    attributes={"made": "made"},
)
nni_stress.register_layer(Gain)(lambda layer: IN_PLACE)
nni_stress.register_layer(Mix)(lambda layer: MIX)
nni_stress.register_layer(Normalized)(
    lambda layer: Dimensions("batch c ...", "batch c ...", {"gain": "c"}, statistics="c")
)
nni_stress.register_layer(Flat)(lambda layer: Dimensions("batch c h w", "batch (c h w)"))
nni_stress.register_layer(Halves)(
    lambda layer: Dimensions("batch (two c) ...", "batch c ...", sizes={"two": 2})
)
nni_stress.register_layer(Product)(
    lambda layer: Dimensions(
        "batch taken ...", "batch made ...", {"weight": "taken made"}, macs="batch taken made ..."
    )
)


@nni_stress.register_operator("unit::add")
def scaled_rule(images, gain, power):
    assert power == 2
    return Dimensions(["batch c ...", "c"], "batch c ...")


def network_around(layer, made=8, flat=None):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        layer,
        nn.Conv2d(made, 4, 1),
        flat or Flat(),
        nn.Linear(4 * 16, 3),
    )
    nn.init.uniform_(network[1].bias, 0.2, 0.5)  # what is removed would send something on
    return network.eval()


IMAGES = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LAYERS = {
    "gain": (lambda: Gain(8), 8, [("0",), ("3",)]),
    "mix": (lambda: Mix(8, 6, 10), 10, [("0",), ("2.down",), ("2.up",), ("3",)]),
    "normalized": (lambda: Normalized(8), 8, [("0",), ("3",)]),
    "product": (lambda: Product(8, 6), 6, [(), ("0",), ("3",)]),
    "halves": (lambda: Halves(), 4, [("0",), ("3",)]),
    "operator": (lambda: Scaled(8), 8, [("0",), ("3",)]),
    "autograd": (lambda: Clip(), 8, [("0",), ("3",)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_rule_says_can_be_cut_and_the_small_network_equals_the_masked_one(name):
    make, made, groups = LAYERS[name]
    network = network_around(make(), made)
    assert sorted(group.layers for group in ClusterGraph(network, IMAGES).groups) == groups
    testing.check_layers(network, IMAGES)


def test_a_pruner_makes_such_a_layer_small_and_it_can_be_saved(tmp_path):
    network = network_around(Product(8, 6), 6)
    config = [{"op_types": ["Conv2d", "Product"]}]
    before = copy.deepcopy(network)
    pruner = StressPruner(network, config, budget={"parameters": 0.5}, example_input=IMAGES)
    pruner.compress()
    small = pruner.synthesize(IMAGES)
    assert small[2].weight.shape < (8, 6)
    nni_stress.save(small, tmp_path / "network.safetensors")
    again = nni_stress.load(tmp_path / "network.safetensors", lambda: before)
    with torch.no_grad():
        assert torch.equal(again.eval()(IMAGES), small.eval()(IMAGES))


class Doubled(nn.Module):
    def forward(self, images):
        return elsewhere(lambda x: np.concatenate([x, x], 1), images)


@pytest.mark.parametrize("layer", [Flipped(8), Doubled()])
def test_what_is_wrong_or_has_no_rule_stays_and_breaks_the_contract_if_it_has_one(layer):
    network = network_around(layer, 16 if isinstance(layer, Doubled) else 8)
    inspection = nni_stress.inspect(network, IMAGES)
    assert "without some of them the network is wrong" in str(inspection)
    with pytest.raises(AssertionError, match="stays: without some of them the network is wrong"):
        testing.check_layers(network, IMAGES)


def test_an_operator_without_a_rule_does_not_pass_for_one_of_torchs():
    @torch.library.custom_op("unit::mul", mutates_args=())
    def mul(images: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return images.flip(1) * gain[:, None, None]

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.rand(8) + 0.5)

        def forward(self, images):
            return mul(images, self.gain)

    shown = str(nni_stress.inspect(network_around(Own()), IMAGES))
    assert "unit::mul, an operator that is not understood" in shown


def test_a_wrong_number_of_multiply_accumulates_breaks_the_contract():
    class Uncounted(Product):
        pass

    nni_stress.register_layer(Uncounted)(
        lambda layer: Dimensions("batch taken ...", "batch made ...", {"weight": "taken made"})
    )
    with pytest.raises(AssertionError, match=r"MACs has .* by the rules of its layers"):
        testing.check_layers(network_around(Uncounted(8, 6), 6), IMAGES)


RULES = {
    "batch c": "inputs must have 2 dimensions",
    "batch c d h w": "inputs must have 5 dimensions",
    "batch c (h": "a bracket is not closed in",
    "batch c h,w": "names of dimensions must be words, but got ',w'",
    "batch c c w": "inputs must have different names",
    "batch h c w": "dimension c must have one size, but has 4 in inputs and 8 in gain",
    "batch 1 h w": "dimension 1 must be of size 1, but is 8",
    "batch (a b) ...": "sizes must have the size of a, but it is not known",
    "batch c ... ...": r"'...' may stand once",
}


@pytest.mark.parametrize("inputs", RULES)
def test_a_rule_that_does_not_fit_is_an_error_of_one_line(inputs):
    class Wrong(Gain):
        pass

    nni_stress.register_layer(Wrong)(lambda layer: Dimensions(inputs, inputs, {"gain": "c"}))
    with pytest.raises(ValueError, match=rf"the rule of Wrong does not fit: .*{RULES[inputs]}"):
        ClusterGraph(network_around(Wrong(8)), IMAGES)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda layer: "batch c h w", "must return nni_stress.Dimensions, but returned 'batch"),
        (lambda layer: layer.nothing, "object has no attribute 'nothing'"),
        (lambda layer: Dimensions("... c", "... c", {"weight": "c"}), "must be some of gain, but"),
        (lambda layer: Dimensions("... c", "... c", statistics="d"), "'d' is named by no tensor"),
        (lambda layer: Dimensions(["... c"] * 2, "... c"), "inputs must name 1 tensors, but"),
        (lambda layer: Dimensions("b c ...", "b c ...", attributes={"n": "c"}), "n must be 8"),
        (lambda layer: Dimensions(3, "b c"), "inputs must be names of dimensions, or a list"),
    ],
)
def test_what_a_rule_must_not_return(rule, said):
    class Bad(Gain):
        pass

    nni_stress.register_layer(Bad)(rule)
    with pytest.raises(ValueError, match=rf"the rule of Bad does not fit: [^\n]*{said}"):
        ClusterGraph(network_around(Bad(8)), IMAGES)


def test_registering_is_checked():
    with pytest.raises(ValueError, match="layer 'Gain' is registered already, by"):
        nni_stress.register_layer(Gain)(scaled_rule)
    with pytest.raises(TypeError, match=r"layer must be a class of torch\.nn\.Module, but got 'G'"):
        nni_stress.register_layer("G")
    with pytest.raises(ValueError, match="operator must have a name as 'my::add'"):
        nni_stress.register_operator("add")
