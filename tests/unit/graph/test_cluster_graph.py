"""ClusterGraph: groups of clusters, and costs that match what NNI's ModelSpeedup builds."""

import pytest
import torch
import torchvision.models
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup
from torch import nn
from torch.nn import functional

from nni_stress.graph import cost
from nni_stress.graph.cluster_graph import ClusterGraph
from tests.helpers.slow import all_but
from trials.models import lenet5


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.one = nn.Conv2d(16, 24, 3, padding=1)
        self.two = nn.Conv2d(24, 16, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        features = torch.relu(self.norm(self.stem(images)))
        features = features + self.two(torch.relu(self.one(features)))
        return self.head(functional.adaptive_avg_pool2d(features, 1).flatten(1))


class Concatenated(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, padding=1)
        self.two = nn.Conv2d(8, 12, 3, padding=1)
        self.three = nn.Conv2d(20, 10, 3)
        self.norm = nn.BatchNorm2d(20)
        self.head = nn.Linear(10, 5)

    def forward(self, images):
        first = torch.relu(self.one(images))
        both = self.norm(torch.cat([first, torch.relu(self.two(first))], 1))
        return self.head(self.three(both).mean((2, 3)))


class Gated(nn.Module):
    """Pointwise, depthwise, squeeze and excitation, pointwise."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 24, 1)
        self.depth = nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.squeeze = nn.Conv2d(24, 6, 1)
        self.excite = nn.Conv2d(6, 24, 1)
        self.narrow = nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        features = torch.relu(self.depth(torch.relu(self.wide(images))))
        gate = torch.sigmoid(
            self.excite(torch.relu(self.squeeze(functional.adaptive_avg_pool2d(features, 1))))
        )
        return self.head(self.narrow(features * gate).mean((2, 3)))


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 16, 3)
        self.two = nn.Conv2d(16, 32, 3, groups=4)
        self.three = nn.Conv2d(32, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, images):
        return self.head(
            torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(images)))))).mean((2, 3))
        )


class Passthrough(nn.Module):
    """YOLOv2's reorganization: positions of a finer layer become channels beside a coarser one."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(3, 8, 3, padding=1)
        self.coarse = nn.Conv2d(8, 16, 3, padding=1)
        self.both = nn.Conv2d(48, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 7, 1)

    def forward(self, images):
        fine = torch.relu(self.fine(images))
        batch, channels, height, width = fine.shape
        moved = fine.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
        moved = moved.reshape(batch, channels * 4, height // 2, width // 2)
        coarse = torch.relu(self.coarse(functional.max_pool2d(fine, 2)))
        return self.head(torch.relu(self.both(torch.cat([moved, coarse], 1))))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.keys, self.queries, self.hidden, self.head = (nn.Linear(12, 12) for _ in range(4))

    def forward(self, words):
        weights = torch.softmax(self.queries(words) @ self.keys(words).transpose(1, 2), -1)
        return self.head(torch.relu(self.hidden(weights @ words)))


NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28)),
    "residual": (Residual, (3, 16, 16)),
    "concatenated": (Concatenated, (3, 16, 16)),
    "gated": (Gated, (3, 16, 16)),
    "grouped": (Grouped, (3, 16, 16)),
    "passthrough": (Passthrough, (3, 16, 16)),
    "alexnet": (lambda: torchvision.models.alexnet(num_classes=10), (3, 64, 64)),
    "vgg11_bn": (lambda: torchvision.models.vgg11_bn(num_classes=10), (3, 32, 32)),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=10), (3, 64, 64)),
    "mobilenet_v2": (lambda: torchvision.models.mobilenet_v2(num_classes=10), (3, 64, 64)),
}


def config_of(graph, ratio):
    """NNI's config that prunes every group that is not frozen, in all its layers alike."""
    return [
        {
            "op_names": list(group.layers),
            "sparse_ratio": ratio,
            "dependency_group_id": index,
            "internal_metric_block": group.blocks,
        }
        for index, group in enumerate(graph.groups)
    ]


@pytest.mark.parametrize("name", all_but({"alexnet", "vgg11_bn"}, NETWORKS))
def test_predicted_costs_match_the_network_that_modelspeedup_builds(name):
    factory, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = factory().eval()
    images = torch.rand(2, *shape)
    graph = ClusterGraph(network, images)
    sizes = [group.clusters for group in graph.groups]
    assert graph.parameters(sizes) == cost.synapses(network) and graph.macs(sizes) == cost.macs(
        network, images
    )
    keep = [n - int(n // g.blocks * 0.4) * g.blocks for n, g in zip(sizes, graph.groups)]
    pruner = L1NormPruner(network, config_of(graph, 0.4))
    _, masks = pruner.compress()
    pruner.unwrap_model()
    small = ModelSpeedup(network, images, masks).speedup_model()
    assert graph.parameters(keep) == cost.synapses(small) < graph.parameters(sizes)
    assert graph.macs(keep) == cost.macs(small, images) < graph.macs(sizes)


def group_of(graph, layer):
    return next(group for group in graph.groups if layer in group.layers)


def test_layers_added_by_a_shortcut_form_one_group():
    graph = ClusterGraph(Residual(), torch.rand(2, 3, 16, 16))
    assert group_of(graph, "stem").layers == ("stem", "two") and group_of(graph, "one").layers == (
        "one",
    )


def test_a_gate_and_a_depthwise_layer_join_the_group_they_multiply():
    graph = ClusterGraph(Gated(), torch.rand(2, 3, 16, 16))
    assert group_of(graph, "wide").layers == ("depth", "excite", "wide") and group_of(
        graph, "squeeze"
    ).layers == ("squeeze",)


def test_grouped_convolutions_and_the_layers_that_feed_them_have_blocks():
    graph = ClusterGraph(Grouped(), torch.rand(2, 3, 16, 16))
    assert [group_of(graph, layer).blocks for layer in ("one", "two", "three")] == [4, 4, 1]


def test_clusters_that_reach_the_output_or_are_contracted_alone_must_stay():
    graph = ClusterGraph(Attention(), torch.rand(2, 5, 12))
    assert {layers: size for size, layers, _ in graph.groups} == {
        ("keys", "queries"): 12,
        ("hidden",): 12,
    }
    assert graph.frozen["head"].text == "reaches the network's output"
    assert [group.layers for group in ClusterGraph(lenet5(), torch.rand(2, 1, 28, 28)).groups] == [
        ("conv1",),
        ("conv2",),
        ("fc1",),
    ]


class Between(nn.Module):
    """Layers for the subclasses, which differ in what happens between the first and the next."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(3, 16, 1)
        self.two = nn.Conv2d(3, 16, 1)
        self.scale = nn.Parameter(torch.linspace(-90, 30, 16).view(1, 16, 1, 1))
        self.norm = nn.BatchNorm2d(16)
        self.three = nn.Conv2d(16, 12, 1)
        self.four = nn.Conv2d(8, 12, 1)


class Scaled(Between):
    def forward(self, images):
        return self.three(self.one(images) * self.scale)


class Chunked(Between):
    def forward(self, images):
        first, second = self.one(images).chunk(2, 1)
        return self.four(first) + self.four(second)


class Sliced(Between):
    def forward(self, images):
        return self.four(self.one(images)[:, 8:])


class Shuffled(Between):
    def forward(self, images):
        features = self.one(images)
        batch, channels, height, width = features.shape
        moved = features.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return self.three(moved.reshape(batch, channels, height, width))


class Counted(Between):
    """A literal size counts clusters."""

    def forward(self, images):
        return self.three(self.one(images).view(-1, 16, 4, 64))


class Averaged(Between):
    """There are as many rows as channels, but the mean is over the channels."""

    def forward(self, images):
        return self.three(self.one(images).mean(1).unsqueeze(-1))


class Compared(Between):
    def forward(self, images):
        return self.three(images.mean() * (self.one(images) > 0))


class Rolled(Between):
    def forward(self, images):
        return self.three(torch.roll(self.one(images), 3, 1))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Counted, "size 16 given by the program"),
        (Averaged, "mean or other statistic over clusters"),
        (Rolled, "rolled along"),
        (Sliced, "size 8 given by the program"),
    ],
)
def test_operations_that_depend_on_the_number_of_clusters_freeze_them(factory, words):
    graph = ClusterGraph(factory(), torch.rand(2, 3, 16, 16))
    assert words in str(graph.frozen["one"])


@pytest.mark.parametrize(("factory", "size"), [(Scaled, 16), (Chunked, 8), (Shuffled, 8)])
def test_operations_that_adapt_let_clusters_go(factory, size):
    graph = ClusterGraph(factory(), torch.rand(2, 3, 16, 16))
    assert group_of(graph, "one").clusters == size


class Joined(Between):
    """Each group of the grouped convolution reads another layer."""

    def __init__(self):
        super().__init__()
        self.five = nn.Conv2d(32, 8, 1, groups=2)

    def forward(self, images):
        return self.five(torch.cat([self.one(images), self.two(images)], 1)).mean((2, 3))


class SharedNorm(Between):
    def forward(self, images):
        return self.three(torch.cat([self.norm(self.one(images)), self.norm(self.two(images))], 3))


class SharedWeight(Between):
    def __init__(self):
        super().__init__()
        self.two.weight = self.one.weight

    def forward(self, images):
        return self.three(self.one(images)) + self.three(self.two(images))


def test_layers_that_share_weights_or_feed_one_grouped_layer():
    images = torch.rand(2, 3, 16, 16)
    joined = ClusterGraph(Joined(), images)
    assert "one" in joined.frozen and "two" in joined.frozen
    assert group_of(ClusterGraph(SharedWeight(), images), "one").layers == ("one", "two")
    assert group_of(ClusterGraph(SharedNorm(), images), "one").layers == ("one", "two")


def test_blocks_of_several_grouped_layers_are_combined():
    network = nn.Sequential(
        nn.Conv2d(3, 24, 1),
        nn.Conv2d(24, 24, 1, groups=4),
        nn.Conv2d(24, 24, 1, groups=6),
        nn.Conv2d(24, 5, 1),
    )
    graph = ClusterGraph(network, torch.rand(2, 3, 4, 4))
    assert [group.blocks for group in graph.groups] == [4, 12, 6]


def test_modes_and_weights_do_not_change():
    network = Residual().train()
    network.norm.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    ClusterGraph(network, torch.rand(2, 3, 16, 16))
    assert network.training and not network.norm.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_an_error_says_why_a_network_cannot_be_followed():
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("no way through")

    with pytest.raises(ValueError, match=r"the network cannot be followed: \w+: .*no way through"):
        ClusterGraph(Broken(), torch.rand(1, 3))


def test_a_network_without_data_has_the_same_groups():
    """On the meta device, as networks that are too large to hold."""

    def make():
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        return nn.Sequential(
            nn.Embedding(20, 16), nn.TransformerEncoder(layer, 2), nn.Linear(16, 3)
        )

    words = torch.zeros(2, 5, dtype=torch.long)
    with torch.device("meta"):
        graph = ClusterGraph(make(), words.to("meta"))
    expected = ClusterGraph(make(), words)
    assert (graph.groups, graph.clusters) == (expected.groups, expected.clusters)
    sizes = [group.clusters for group in graph.groups]
    assert graph.macs(sizes) == expected.macs(sizes)
