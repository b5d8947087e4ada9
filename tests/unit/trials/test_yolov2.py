"""YOLOv2: its published cost, and synthesis of smaller networks through the passthrough."""

import copy

import pytest
import torch
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.cluster_graph import ClusterGraph
from trials.models import yolov2
from trials.models.yolov2 import reorg, reorg_darknet

# Of each convolution in order: input channels, filters, kernel size, stride of its input
LAYERS = [
    (3, 32, 3, 1),
    (32, 64, 3, 2),
    (64, 128, 3, 4),
    (128, 64, 1, 4),
    (64, 128, 3, 4),
    (128, 256, 3, 8),
    (256, 128, 1, 8),
    (128, 256, 3, 8),
    (256, 512, 3, 16),
    (512, 256, 1, 16),
    (256, 512, 3, 16),
    (512, 256, 1, 16),
    (256, 512, 3, 16),
    (512, 1024, 3, 32),
    (1024, 512, 1, 32),
    (512, 1024, 3, 32),
    (1024, 512, 1, 32),
    (512, 1024, 3, 32),
    (1024, 1024, 3, 32),
    (1024, 1024, 3, 32),
    (512, 64, 1, 16),
    (1280, 1024, 3, 32),
    (1024, 125, 1, 32),
]


def test_yolov2_has_the_published_cost():
    with torch.device("meta"):
        network, images = yolov2(20), torch.zeros(1, 3, 416, 416)
    synapses = (
        sum(inputs * filters * size**2 + 2 * filters for inputs, filters, size, _ in LAYERS)
        - 2 * 125
        + 125
    )
    macs = sum(
        inputs * filters * size**2 * (416 // stride) ** 2
        for inputs, filters, size, stride in LAYERS
    )
    assert cost.synapses(network) == synapses and cost.macs(network, images) == macs
    assert (
        round(synapses / 1e6, 1) == 50.7
        and round(macs / 1e9, 1) == 14.7
        and round(2 * macs / 1e9, 1) == 29.4
    )
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions] == [
        layer[:3] for layer in LAYERS
    ]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (96, 64)])
def test_height_and_width_must_be_multiples_of_32(height, width):
    network = yolov2(7, 0.125, anchors=3).eval()
    assert network(torch.rand(2, 3, height, width)).shape == (2, 3 * 12, height // 32, width // 32)
    with pytest.raises(ValueError, match=f"multiples of 32, but got {height}x{width + 16}"):
        network(torch.rand(2, 3, height, width + 16))


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="at least one class and one anchor, but got 0 and 5"):
        yolov2(0)
    with pytest.raises(ValueError, match="width must be positive, but got -1"):
        yolov2(3, -1)
    with pytest.raises(ValueError, match=r"a multiple of 4 channels, but width=0\.1 gives 6"):
        yolov2(3, 0.1, darknet_reorg=True)


def test_reorg_moves_the_pixels_of_each_square_to_channels():
    features = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    moved = reorg(features)
    assert moved.shape == (2, 12, 2, 3)
    for row in (0, 1):
        for column in (0, 1):
            offset = 3 * (2 * row + column)
            assert torch.equal(moved[:, offset : offset + 3], features[:, :, row::2, column::2])


def reorg_by_loops(features):
    """Darknet's reorg by the loops of its source, element by element over flat memory."""
    batch, channels, height, width = features.shape
    source, target = features.flatten().tolist(), []
    for b in range(batch):
        for k in range(channels):
            offset, plane = divmod(k, channels // 4)
            for j in range(height):
                for i in range(width):
                    row, column = 2 * j + offset // 2, 2 * i + offset % 2
                    target.append(
                        source[
                            column + 2 * width * (row + 2 * height * (plane + channels // 4 * b))
                        ]
                    )
    return torch.tensor(target).view(batch, 4 * channels, height // 2, width // 2)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (6, 4), (26, 26)])
def test_darknets_reorg_agrees_with_its_loops(height, width):
    features = torch.arange(2.0 * 8 * height * width).view(2, 8, height, width)
    assert torch.equal(reorg_darknet(features), reorg_by_loops(features))


def test_darknets_reorg_takes_the_same_channels_but_other_rows():
    """No permutation of channels makes :func:`reorg` exact for published weights."""
    channel_of = torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 26, 26)
    same = reorg(channel_of) == reorg_darknet(channel_of)
    assert 0.9 < float(same.float().mean()) < 1
    row_of = torch.arange(26.0).view(1, 1, 26, 1).expand(1, 8, 26, 26)
    distances = (reorg(row_of) - reorg_darknet(row_of)).abs()
    assert set(distances[same].unique().tolist()) <= {0, 1}


def randomize_statistics(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.running_mean, -0.2),
                (module.running_var, 0.5),
                (module.weight, 0.5),
                (module.bias, -0.2),
            ):
                nn.init.uniform_(values, low, low + 0.5)


def prune(config, **arguments):
    """A founder, the same with masked weights, the offspring of these masks, and images."""
    torch.manual_seed(0)
    founder, images = yolov2(20, 0.25).eval(), torch.rand(2, 3, 64, 64)
    randomize_statistics(founder)
    masked, ancestor = copy.deepcopy(founder), copy.deepcopy(founder)
    pruner = StressPruner(
        ancestor,
        [{"op_types": ["Conv2d"], **config}],
        example_input=images,
        temperature=0.2,
        **arguments,
    )
    _, masks = pruner.compress()
    for name, targets in masks.items():
        masked.get_submodule(name).weight.data.mul_(targets["weight"])
        if name != "output":  # NNI drops the constant that a batch norm adds to a masked channel
            norm = masked.get_submodule(name[:-1] + "1")
            for values in (norm.weight, norm.bias):
                values.data.mul_(targets["weight"].flatten(1).any(1))
    return founder, masked, pruner.synthesize(images), images


@pytest.fixture(scope="module")
def budgeted():
    return prune({}, budget={"parameters": 0.1})


@pytest.fixture(scope="module")
def halved():
    return prune({"sparse_ratio": 0.5, "exclude_op_names": ["output"]})


@pytest.mark.parametrize("case", ["budgeted", "halved"])
def test_the_offspring_agrees_with_its_masked_ancestor(case, request):
    founder, masked, small, images = request.getfixturevalue(case)
    outputs = small(images)
    assert torch.allclose(outputs, masked(images), atol=1e-4)
    assert not torch.allclose(outputs, founder(images), atol=1e-1)


def convolution_shapes(network):
    return {name: shape for name, shape in cost.architecture(network).items() if len(shape) == 4}


def test_every_convolution_but_the_last_loses_half_of_its_filters(halved):
    before, after = convolution_shapes(halved[0]), convolution_shapes(halved[2])
    assert [name for name in before if 2 * after[name][0] != before[name][0]] == ["output"]


def test_the_budget_is_met_and_the_passthrough_loses_filters(budgeted):
    founder, _, small, _ = budgeted
    before, after = convolution_shapes(founder), convolution_shapes(small)
    assert after["passthrough.0.0"][0] < before["passthrough.0.0"][0]
    assert after["head.0.0"][1] == 4 * after["passthrough.0.0"][0] + after["neck.1.0"][0]
    assert 0.097 <= cost.synapses(small) / cost.synapses(founder) <= 0.1


def test_predicted_costs_equal_the_offsprings(budgeted):
    founder, _, small, images = budgeted
    graph = ClusterGraph(founder, images)
    assert list(graph.frozen) == ["output"]
    shapes = cost.architecture(small)
    keep = [shapes[group.layers[0]][0] for group in graph.groups]
    assert graph.parameters(keep) == cost.synapses(small)
    assert graph.macs(keep) == cost.macs(small, images)


def test_with_darknets_reorg_filters_of_the_passthrough_may_go():
    graph = ClusterGraph(yolov2(20, 0.25, darknet_reorg=True), torch.rand(1, 3, 64, 64))
    assert set(graph.frozen) == {"output"}
