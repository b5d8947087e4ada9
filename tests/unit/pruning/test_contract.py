"""Over many networks, StressPruner does what NNI's L1NormPruner does."""

import copy
import itertools

import pytest
import torch
import torchvision.models
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup
from nni.compression.utils import auto_set_denpendency_group_ids
from torch import nn

from nni_stress import StressPruner
from tests.helpers.networks import TorchTransformer, Transformer
from tests.unit.graph.test_cluster_graph import Attention, Concatenated, Gated, Grouped, Passthrough
from tests.unit.pruning.test_pruner import same_masks
from trials.models import lenet5


class Detector(nn.Module):
    """Two heads, and branches on traced values."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.deep = nn.Conv2d(12, 16, 3, stride=2)
        self.boxes = nn.Conv2d(16, 4, 1)
        self.classes = nn.Conv2d(16, 6, 1)

    def forward(self, images):
        features = torch.relu(self.norm(self.stem(images)))
        if features.shape[2] > 8:
            features = nn.functional.max_pool2d(features, 2)
        features = torch.relu(self.deep(features))
        return self.boxes(features), self.classes(features)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.hidden = nn.Linear(16, 24)
        self.head = nn.Linear(24, 4)

    def forward(self, words):
        states, _ = self.lstm(words)
        return self.head(torch.relu(self.hidden(states[:, -1])))


def vision(name):
    return lambda: getattr(torchvision.models, name)(weights=None, num_classes=10)


# factory, shape of an input, layers with an answer that must stay, whether shortcuts tie layers
NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28), ["fc2"], False),
    "alexnet": (vision("alexnet"), (3, 64, 64), ["classifier.6"], False),
    "vgg11_bn": (vision("vgg11_bn"), (3, 32, 32), ["classifier.6"], False),
    "resnet18": (vision("resnet18"), (3, 64, 64), ["fc"], True),
    "mobilenet_v2": (vision("mobilenet_v2"), (3, 64, 64), ["classifier.1"], True),
    "densenet121": (vision("densenet121"), (3, 64, 64), ["classifier"], False),
    "efficientnet_b0": (vision("efficientnet_b0"), (3, 64, 64), ["classifier.1"], True),
    "grouped": (Grouped, (3, 16, 16), ["head"], True),
    "gated": (Gated, (3, 16, 16), ["head"], True),
    "concatenated": (Concatenated, (3, 16, 16), ["head"], False),
    "passthrough": (Passthrough, (3, 16, 16), ["head"], False),
    "detector": (Detector, (3, 16, 16), ["boxes", "classes"], False),
    "recurrent": (Recurrent, (7, 8), ["head"], False),
    "attention": (Attention, (5, 12), ["keys", "queries", "head"], False),
    "transformer": (Transformer, (5, 12), ["attend", "mix", "narrow", "head"], False),
}
SLOW = {"vgg11_bn", "alexnet", "densenet121", "efficientnet_b0"}


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in NETWORKS]
)
def case(request):
    """(network in eval mode with batch statistics of its own, a batch, config)"""
    factory, shape, last, tied = NETWORKS[request.param]
    torch.manual_seed(0)
    network = factory().eval()
    inputs = torch.rand(4, *shape)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.running_mean, -0.2),
                (module.running_var, 0.5),
                (module.weight, 0.5),
                (module.bias, -0.2),
            ):
                nn.init.uniform_(values, low, low + 0.5)
    config = [{"op_types": ["Conv2d", "Linear"], "sparse_ratio": 0.5, "exclude_op_names": last}]
    config = auto_set_denpendency_group_ids(network, config, inputs) if tied else config
    return network, inputs, config + batch_norms(network)


def batch_norms(network):
    """Config that lets each batch norm lose what the convolution before it loses.

    Otherwise a lost channel leaves the batch norm as a constant, which the masked network adds and
    NNI's speedup drops.
    """
    layers = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))
    ]
    pairs = [
        (convolution, norm)
        for (convolution, before), (norm, after) in itertools.pairwise(layers)
        if isinstance(before, nn.Conv2d)
        and isinstance(after, nn.BatchNorm2d)
        and before.out_channels == after.num_features
    ]
    return [
        {
            "op_names": [norm],
            "target_settings": {
                target: {
                    "align": {"module_name": convolution, "target_name": "weight", "dims": [0]}
                }
                for target in ("weight", "bias")
            },
        }
        for convolution, norm in pairs
    ]


def speed_up(pruner, network, inputs):
    """(masks, masked output, output of the small network or the error of NNI's speedup)"""
    _, masks = pruner.compress()
    with torch.no_grad():
        masked = network(inputs)
    pruner.unwrap_model()
    try:
        small = ModelSpeedup(network, inputs, copy.deepcopy(masks)).speedup_model()
        with torch.no_grad():
            return masks, masked, small(inputs)
    except Exception as error:
        return masks, masked, error


def alive(targets):
    return targets["weight"].reshape(len(targets["weight"]), -1).any(1)


def deviation(masked, built):
    """Largest difference between outputs, relative to their size."""
    pairs = zip(masked, built) if isinstance(masked, tuple) else [(masked, built)]
    return max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)


def test_the_contract_of_the_norm_pruner_holds(case):
    network, inputs, config = case
    reference = copy.deepcopy(network)
    expected, masked, built = speed_up(L1NormPruner(reference, config), reference, inputs)
    cold = copy.deepcopy(network)
    assert same_masks(StressPruner(cold, config, temperature=0).compress()[1], expected)
    model = copy.deepcopy(network)
    pruner = StressPruner(model, config, temperature=0.3, seed=4)
    masks, masked_output, small_output = speed_up(pruner, model, inputs)
    for name, targets in masks.items():
        clusters = alive(targets)
        assert set(targets["weight"].unique().tolist()) <= {0, 1}
        assert (
            int(clusters.sum())
            == int(alive(expected[name]).sum())
            == len(clusters) - int(len(clusters) * 0.5)
        )
        if targets.get("bias") is not None:
            assert torch.equal(targets["bias"].bool(), clusters)
    if isinstance(built, Exception):
        assert type(small_output) is type(built) and str(small_output) == str(built)
    else:
        assert not isinstance(small_output, Exception), small_output
        exact = deviation(masked, built) < 1e-4
        assert exact or network_loses_batch_norms(network)  # else nothing would be compared here
        assert not exact or deviation(masked_output, small_output) < 1e-4


def network_loses_batch_norms(network):
    """Whether a batch norm stands behind no single convolution, as behind a concatenation."""
    return 2 * sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) > sum(
        len(config["target_settings"]) for config in batch_norms(network)
    )


def test_nni_drops_the_constants_that_a_batch_norm_makes_of_lost_channels():
    """So batch norms are masked here. If this fails, NNI has improved, and they need no masks."""
    torch.manual_seed(0)
    network = Detector().eval()
    images = torch.rand(4, 3, 16, 16)
    nn.init.constant_(network.norm.bias, 0.3)
    plain = [{"op_names": ["stem"], "sparse_ratio": 0.5}]
    for config, exact in ((plain, False), (plain + batch_norms(network)[:1], True)):
        copied = copy.deepcopy(network)
        _, masked, built = speed_up(L1NormPruner(copied, config), copied, images)
        assert (deviation(masked, built) < 1e-4) == exact


def test_behind_a_concatenation_the_constants_of_lost_channels_are_masked_too():
    """NNI cannot align a batch norm to several layers; StressPruner masks it."""
    torch.manual_seed(0)
    network = Concatenated().eval()
    images = torch.rand(4, 3, 16, 16)
    nn.init.uniform_(network.norm.bias, 0.1, 0.6)
    halves = [{"op_names": ["one", "two"], "sparse_ratio": 0.5}]
    pruner = StressPruner(network, halves, temperature=0.3, seed=4)
    _, masked, built = speed_up(pruner, network, images)
    assert deviation(masked, built) < 1e-4


@pytest.mark.parametrize("kind", [L1NormPruner, StressPruner])
def test_layers_inside_pytorchs_encoder_layer_are_masked_but_not_made_small(kind):
    """NNI traces it as one module that it cannot replace. If this fails, NNI has improved."""
    torch.manual_seed(0)
    network = TorchTransformer().eval()
    words = torch.rand(4, 5, 12)
    size = sum(parameter.numel() for parameter in network.parameters())
    masks, masked, built = speed_up(
        kind(network, [{"op_names": ["encoder.linear1"], "sparse_ratio": 0.5}]), network, words
    )
    assert int(alive(masks["encoder.linear1"]).sum()) == 12
    assert (
        deviation(masked, built) > 1e-4
        and sum(parameter.numel() for parameter in network.parameters()) == size
    )


def test_where_nni_cannot_trace_a_network_the_error_is_the_same():
    """torchvision's detectors ask `if targets is not None`, which NNI's tracer answers wrongly."""
    images = torch.rand(1, 3, 320, 320)
    errors = []
    for kind in (L1NormPruner, StressPruner):
        torch.manual_seed(0)
        network = torchvision.models.detection.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=5
        ).eval()
        pruner = kind(
            network, [{"op_names": ["backbone.features.0.1.block.0.0"], "sparse_ratio": 0.5}]
        )
        _, masks = pruner.compress()
        pruner.unwrap_model()
        with pytest.raises(Exception) as error:  # noqa: PT011, compared below
            ModelSpeedup(network, images, masks)
        errors.append((error.type, str(error.value)))
    assert errors[0] == errors[1]
