"""Origins of networks, and the union of two parents of one founder."""

import copy
import json

import pytest
import torch
import torchvision.models
from torch import nn

import nni_stress
from nni_stress import StressPruner
from nni_stress.graph import crossover
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.cost import architecture, macs, synapses
from tests.unit.graph.test_cluster_graph import (
    Concatenated,
    Gated,
    Grouped,
    Residual,
    config_of,
    group_of,
)
from tests.unit.pruning.test_pruner import evaluator
from trials.models import lenet5


def small_vgg():
    layers = []
    width = 3
    for wider in (16, 32):
        layers += [
            nn.Conv2d(width, wider, 3, padding=1, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        width = wider
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(32 * 16, 24),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Linear(24, 5),
    )


def small_densenet():
    return torchvision.models.DenseNet(8, (2, 2), 16, bn_size=2, num_classes=5)


def small_mobilenet():
    return torchvision.models.MobileNetV2(
        5, inverted_residual_setting=[[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 1, 2]]
    )


NETWORKS = {
    "lenet5": (lenet5, (1, 28, 28)),
    "vgg": (small_vgg, (3, 16, 16)),
    "residual": (Residual, (3, 16, 16)),
    "concatenated": (Concatenated, (3, 16, 16)),
    "gated": (Gated, (3, 16, 16)),
    "grouped": (Grouped, (3, 16, 16)),
    "densenet": (small_densenet, (3, 32, 32)),
    "resnet18": (lambda: torchvision.models.resnet18(num_classes=5), (3, 32, 32)),
    "mobilenet_v2": (small_mobilenet, (3, 32, 32)),
}


def founder_of(name):
    """A founder in evaluation mode, with norms whose channels all differ, and images."""
    factory, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = factory()
    images = torch.randn(8, *shape)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
            module.momentum = 1.0
    with torch.no_grad():
        network(images)  # so that no layer's outputs are almost constant
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.1
    return network.eval(), images[:3]


def offspring_of(ancestor, origins, images, seed, **arguments):
    ancestor = copy.deepcopy(ancestor)
    pruner = StressPruner(
        ancestor,
        [{"op_types": ["Conv2d", "Linear"]}],
        budget={"parameters": 0.6},
        seed=seed,
        example_input=images,
        **arguments,
    )
    pruner.compress()
    return crossover.synthesize(pruner, images, origins)


def offspring_with(founder, images, favored):
    """The offspring that keeps half of every group: the clusters with favored(cluster, layer)."""
    graph = ClusterGraph(founder, images)
    ancestor = copy.deepcopy(founder)
    for group in graph.groups:
        for layer in group.layers:
            weight = ancestor.get_submodule(layer).weight.data
            weight[[cluster for cluster in range(len(weight)) if not favored(cluster, layer)]] *= (
                1e-6
            )
    pruner = StressPruner(ancestor, config_of(graph, 0.5), temperature=0)
    pruner.compress()
    return crossover.synthesize(pruner, images, crossover.founding(founder, images))


@pytest.fixture(scope="module", params=NETWORKS)
def family(request):
    """Factory, founder, images, first parent, its origins, second parent, its origins."""
    founder, images = founder_of(request.param)
    origins = crossover.founding(founder, images)
    return (
        NETWORKS[request.param][0],
        founder,
        images,
        *offspring_of(founder, origins, images, seed=1),
        *offspring_of(founder, origins, images, seed=2),
    )


def check_origins(founder, network, origins):
    """Check that every cluster has the weights of the founder's cluster that its origin names."""
    for layer, indices in json.loads(json.dumps(origins)).items():
        mine = network.get_submodule(layer)
        its = founder.get_submodule(layer)
        assert len(mine.weight) == len(indices) and indices == sorted(indices)
        for synapse in (0, -1):
            assert (
                (mine.weight.flatten(1)[:, [synapse]] == its.weight[indices].flatten(1))
                .any(1)
                .all()
            )
        assert mine.bias is None or torch.equal(mine.bias, its.bias[indices])


def test_origins_name_the_founders_clusters_over_two_generations(family):
    _, founder, images, first, origins, _, _ = family
    founding = crossover.founding(founder, images)
    assert founding == {
        name: list(range(len(founder.get_submodule(name).weight))) for name in founding
    }
    check_origins(founder, first, origins)
    second, origins_of_second = offspring_of(first, origins, images, seed=3)
    check_origins(founder, second, origins_of_second)
    assert (
        sum(map(len, origins_of_second.values()))
        < sum(map(len, origins.values()))
        < sum(map(len, founding.values()))
    )
    assert all(set(origins_of_second[layer]) <= set(origins[layer]) for layer in founding)


def test_the_union_of_a_parent_with_itself_computes_the_same(family):
    _, founder, images, first, origins, _, _ = family
    network, again = crossover.union(founder, images, first, origins, first, origins)
    assert again == origins and repr(network) == repr(first)
    assert torch.allclose(network(images), first(images), atol=1e-6)


def test_a_union_has_the_clusters_of_both_parents_and_no_others(family):
    factory, founder, images, first, first_origins, second, second_origins = family
    before = copy.deepcopy(first.state_dict())
    network, origins = crossover.union(
        founder, images, first, first_origins, second, second_origins
    )
    for layer, indices in origins.items():
        assert len(network.get_submodule(layer).weight) == len(indices)
        assert set(indices) >= set(first_origins[layer]) | set(second_origins[layer])
        if factory is not Grouped:  # which needs equal blocks
            assert indices == sorted({*first_origins[layer], *second_origins[layer]})
    assert synapses(network) >= max(synapses(first), synapses(second))
    assert macs(network, images) >= max(macs(first, images), macs(second, images))
    assert torch.isfinite(network(images)).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in first.state_dict().items())


def test_a_union_can_be_saved_loaded_and_pruned(family, tmp_path):
    factory, founder, images, first, first_origins, second, second_origins = family
    network, origins = crossover.union(
        founder, images, first, first_origins, second, second_origins
    )
    nni_stress.save(network, tmp_path / "union.safetensors")
    again = nni_stress.load(tmp_path / "union.safetensors", factory).eval()
    assert repr(again) == repr(network) and torch.allclose(
        again(images), network(images), atol=1e-6
    )
    child, inherited = offspring_of(again, origins, images, seed=4)
    assert {name: len(indices) for name, indices in inherited.items()} == {
        name: shape[0] for name, shape in architecture(child).items() if name in inherited
    }
    assert synapses(child) <= 0.6 * synapses(network)


def test_a_union_of_parents_without_common_clusters_adds_their_outputs(family):
    """No synapse connects the two, so that only one of two equal last biases is missing."""
    _, founder, images, *_ = family
    first, first_origins = offspring_with(founder, images, lambda cluster, layer: cluster % 2 == 0)
    second, second_origins = offspring_with(
        founder, images, lambda cluster, layer: cluster % 2 == 1
    )
    network, origins = crossover.union(
        founder, images, first, first_origins, second, second_origins
    )
    assert origins == crossover.founding(founder, images) and architecture(network) == architecture(
        founder
    )
    last = [module for module in founder.modules() if isinstance(module, nn.Linear)][-1]
    assert torch.allclose(
        network(images), first(images) + second(images) - last.bias, rtol=1e-4, atol=1e-5
    )


def test_synapses_are_the_mean_over_the_parents_that_have_them_and_else_zero():
    founder, images = founder_of("lenet5")
    first, first_origins = offspring_with(
        founder, images, lambda cluster, layer: cluster % 4 in (0, 1)
    )
    second, second_origins = offspring_with(
        founder, images, lambda cluster, layer: cluster % 4 in (1, 2)
    )
    for number, network in enumerate((first, second)):
        torch.manual_seed(number)
        for parameter in network.parameters():
            parameter.data += torch.rand_like(parameter)
    network, origins = crossover.union(
        founder, images, first, first_origins, second, second_origins
    )
    seen = set()
    for row, cluster in enumerate(origins["conv2"]):
        for column, source in enumerate(origins["conv1"]):
            both = [
                parent.conv2.weight[mine["conv2"].index(cluster), mine["conv1"].index(source)]
                for parent, mine in ((first, first_origins), (second, second_origins))
                if cluster in mine["conv2"] and source in mine["conv1"]
            ]
            seen.add(len(both))
            expected = sum(both) / len(both) if both else torch.zeros(5, 5)
            assert torch.allclose(network.conv2.weight[row, column], expected)
    assert seen == {0, 1, 2}
    only = sorted(set(first_origins["conv1"]) - set(second_origins["conv1"]))
    assert only
    assert torch.allclose(
        network.conv1(images)[:, [origins["conv1"].index(cluster) for cluster in only]],
        first.conv1(images)[:, [first_origins["conv1"].index(cluster) for cluster in only]],
        atol=1e-6,
    )


def test_unequal_blocks_are_filled_up_from_the_founder():
    founder, images = founder_of("grouped")
    first, first_origins = offspring_with(founder, images, lambda cluster, layer: cluster % 4 < 2)
    second, second_origins = offspring_with(
        founder, images, lambda cluster, layer: (cluster % 4 < 2) == (layer != "one" or cluster < 4)
    )
    assert first_origins["one"][:4] == [0, 1, 4, 5] and second_origins["one"][:4] == [0, 1, 6, 7]
    network, origins = crossover.union(
        founder, images, first, first_origins, second, second_origins
    )
    assert origins["one"] == list(range(16))
    assert torch.allclose(network.one.weight[2:4], founder.one.weight[2:4])
    first_block = len(origins["two"]) // 4
    assert (
        not network.two.weight[:first_block, 2:].any()
        and network.two.weight[:first_block, :2].all()
    )


def test_layer_norms_are_averaged_and_frozen_synapses_stay_frozen():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(6, 8)
            self.norm = nn.LayerNorm(8)
            self.two = nn.Linear(8, 12)
            self.three = nn.Linear(12, 3)
            self.one.weight.requires_grad = False

        def forward(self, features):
            return self.three(torch.relu(self.two(self.norm(self.one(features)))))

    torch.manual_seed(0)
    founder = Normed().eval()
    features = torch.rand(4, 6)
    origins = crossover.founding(founder, features)
    (first, first_origins), (second, second_origins) = (
        offspring_of(founder, origins, features, seed) for seed in (1, 2)
    )
    first.norm.weight.data += 1
    network, both = crossover.union(founder, features, first, first_origins, second, second_origins)
    wanted = [
        {(True, True): 1.5, (True, False): 2.0, (False, True): 1.0}[
            index in first_origins["one"], index in second_origins["one"]
        ]
        for index in both["one"]
    ]
    assert torch.allclose(network.norm.weight, torch.tensor(wanted))
    assert not network.one.weight.requires_grad and network.two.weight.requires_grad


def test_origins_follow_the_offspring_where_it_differs_from_the_masks():
    """NNI keeps the layer in front of an unmasked depthwise layer, whose biases are active."""
    founder, images = founder_of("gated")
    pruner = StressPruner(
        copy.deepcopy(founder), [{"op_names": ["wide", "squeeze"], "sparse_ratio": 0.5}]
    )
    _, masks = pruner.compress()
    kept = {
        layer: masks[layer]["weight"].flatten(1).any(1).nonzero().flatten().tolist()
        for layer in masks
    }
    offspring, origins = crossover.synthesize(pruner, images, crossover.founding(founder, images))
    assert len(kept["wide"]) == 12 and offspring.wide.out_channels == 24
    assert origins == {**crossover.founding(founder, images), "squeeze": kept["squeeze"]}


def test_origins_survive_stress_and_the_budget_is_a_share_of_the_parents_mean():
    founder, images = founder_of("lenet5")

    def stressed(network, origins, share, seed):
        network = copy.deepcopy(network)
        pruner = StressPruner(
            network,
            [{"op_types": ["Conv2d", "Linear"]}],
            evaluator(network),
            3,
            seed=seed,
            strength="taylor",
            budget={"parameters": share},
            example_input=images,
        )
        _, masks = pruner.compress()
        kept = {
            layer: masks[layer]["weight"].flatten(1).any(1).nonzero().flatten().tolist()
            for layer in origins
        }
        offspring, inherited = crossover.synthesize(pruner, images, origins)
        assert inherited == {
            layer: [origins[layer][index] for index in kept[layer]] for layer in origins
        }
        return offspring, inherited

    founding = crossover.founding(founder, images)
    first, second = (stressed(founder, founding, 0.3, seed) for seed in (1, 2))
    both = crossover.union(founder, images, *first, *second)
    mean = (synapses(first[0]) + synapses(second[0])) / 2
    child, _ = stressed(*both, 0.5 * mean / synapses(both[0]), 3)
    assert 0.48 * mean < synapses(child) <= 0.5 * mean


def test_layers_that_share_a_weight_keep_all_their_clusters():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(9, 9)
            self.two = nn.Linear(9, 9)
            self.three = nn.Linear(9, 24)
            self.four = nn.Linear(24, 3)
            self.two.weight = self.one.weight

        def forward(self, features):
            return self.four(
                torch.relu(self.three(torch.relu(self.two(torch.relu(self.one(features))))))
            )

    torch.manual_seed(0)
    founder = Tied().eval()
    features = torch.rand(4, 9)
    founding = crossover.founding(founder, features)
    pruner = StressPruner(copy.deepcopy(founder), [{"op_names": ["three"], "sparse_ratio": 0.5}])
    pruner.compress()
    offspring, origins = crossover.synthesize(pruner, features, founding)
    assert len(origins["three"]) == 12 and {**origins, "three": founding["three"]} == founding
    network, _ = crossover.union(founder, features, offspring, origins, offspring, origins)
    assert torch.allclose(network(features), offspring(features), atol=1e-6)


def test_origins_of_an_offspring_with_sparse_clusters():
    founder, images = founder_of("lenet5")
    network, origins = offspring_of(
        founder, crossover.founding(founder, images), images, 1, synapse_sparsity=0.95
    )
    assert {name: len(indices) for name, indices in origins.items()} == {
        name: shape[0] for name, shape in architecture(network).items()
    }
    assert all(
        torch.equal(network.get_submodule(name).bias, founder.get_submodule(name).bias[indices])
        for name, indices in origins.items()
    )


def test_parents_of_another_founder_are_refused():
    founder, images = founder_of("residual")
    origins = crossover.founding(founder, images)
    assert group_of(ClusterGraph(founder, images), "stem").layers == ("stem", "two")
    wide = copy.deepcopy(founder)
    wide.head = nn.Linear(17, 5)

    def refused(message, network=founder, **changes):
        with pytest.raises(
            ValueError, match=f"the second parent is not of this founder: {message}"
        ) as error:
            crossover.union(founder, images, founder, origins, network, {**origins, **changes})
        assert "\n" not in str(error.value)

    refused("tensors missing .*, not expected", nn.Linear(2, 2))
    refused(r"head.weight should be \[5, 16\], but is \[5, 17\]", wide)
    refused(r"one.weight should be \[23, 16, 3, 3\], but is \[24, 16, 3, 3\]", one=list(range(23)))
    for indices in [0, 24], [1, 0], [0, 0], [-1], []:
        refused("origins of one should ascend and lie below 24, but are ", one=indices)
    refused(
        r"a layer that stem goes together with lacks the clusters \[15\], but stem has them",
        two=list(range(15)),
    )
    refused("head should have all its clusters, but has ", head=[0, 1])
    refused("origins of the layers .* expected, but got those of ", another=[0])
    with pytest.raises(ValueError, match="the first parent is not of this founder"):
        crossover.union(founder, images, wide, origins, founder, origins)
    grouped, images = founder_of("grouped")
    origins = crossover.founding(grouped, images)
    with pytest.raises(ValueError, match="should have as many clusters in each block"):
        crossover.union(
            grouped, images, grouped, origins, grouped, {**origins, "two": list(range(31))}
        )


def test_origins_of_another_ancestor_are_refused():
    founder, images = founder_of("lenet5")
    origins = crossover.founding(founder, images)
    with pytest.raises(ValueError, match="conv1 should have 3 clusters, but has 20"):
        offspring_of(founder, {**origins, "conv1": [0, 1, 2]}, images, 1)
    with pytest.raises(ValueError, match="conv9 should have 1 clusters, but has no weight"):
        offspring_of(founder, {**origins, "conv9": [0]}, images, 1)
