"""The rivals: each meets its budget, takes no more steps than it may, and is reproducible."""

import copy
import dataclasses
import sys
from functools import partial

import pytest
import torch
from torch import nn

from nni_stress.graph import cost
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.memory_layout import memory_format_of
from nni_stress.resources import RESOURCES
from nni_stress.trial.training import train
from reports.contest.methods import level_pruner, nni_pruners, outside
from reports.contest.methods.base import Trial
from reports.contest.methods.halving import BatchCount
from reports.contest.methods.limits import Limit
from reports.contest.methods.ratios import Ranked, Uniform, normalised
from reports.contest.methods.spaces import SPACES, TORCH_PRUNING
from reports.contest.plan import NNI_PRUNERS, UNSTRUCTURED
from reports.contest.plan import TORCH_PRUNING as TORCH_PRUNERS
from trials.lenet5 import make_task
from trials.models.resnet import resnet20

BATCHES = 31  # of an epoch
EPOCHS = 0.2
KNOBS = {"share": 0.5, "base": "L2NormPruner", "learning_rate": 2e-3, "regular_scale": 0.01}
PRUNES = {
    **{name: (partial(nni_pruners.prune, name), space) for name, space in SPACES.items()},
    **{name: (method.keywords["prune"], TORCH_PRUNING) for name, method in outside.METHODS.items()},
}
RIVALS = {name: PRUNES[name] for name in PRUNES if name not in UNSTRUCTURED}


# Those that are tried with a residual network, too.
RESIDUAL = ("L1NormPruner", "SlimPruner", "MovementPruner", "AGPPruner", "Torch-Pruning Taylor")


class Depthwise(nn.Module):
    """Depthwise and grouped convolutions, and batch norm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 24, 3, stride=2),
            nn.BatchNorm2d(24),
            nn.Conv2d(24, 24, 3, stride=2, groups=24),
            nn.ReLU(),
            nn.Conv2d(24, 32, 1),
            nn.ReLU(),
            nn.Conv2d(32, 40, 3, groups=2),
            nn.ReLU(),
        )
        self.head = nn.Linear(40, 10)

    def forward(self, images):
        return self.head(self.layers(images).mean((2, 3)))


NETWORKS = {
    "lenet5": None,
    "residual": lambda: resnet20(8).to(memory_format=torch.channels_last),
    "depthwise": Depthwise,
}


def task_of(name):
    task = make_task("digits", None, 32, 3)
    return dataclasses.replace(task, network=NETWORKS[name] or task.network)


@pytest.fixture(scope="module")
def founders():
    made = {}
    for name in NETWORKS:
        task = task_of(name)
        torch.manual_seed(0)
        founder = task.network()
        train(founder, task, 0.5, 2e-3, 0)
        made[name] = task, founder.eval()
    return made


def run(task, founder, method, resource="parameters", times=8.0, epochs=EPOCHS, **knobs):
    """The small network, and the epochs that it took."""
    prune, space = PRUNES[method]
    known = {*space, "learning_rate"}
    knobs = {name: value for name, value in {**KNOBS, **knobs}.items() if name in known}
    count = BatchCount(task)
    network = copy.deepcopy(founder)
    found = prune(Trial(count.task, network, resource, 1 / times, epochs, knobs, seed=3))
    return found, count.epochs


def tensors(network):
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def nothing_fits(task, founder, network, resource):
    """Whether no layer that lost clusters could have one more within an eighth."""
    graph = ClusterGraph(founder, task.example_input)
    cost_of = RESOURCES[resource].cost(graph, founder)
    widths = {
        name: len(module.weight)
        for name, module in network.named_modules()
        if name in graph.outputs
    }
    keep = [widths[group.layers[0]] for group in graph.groups]
    return all(
        count == group.clusters
        or cost_of([one + (place == index) for place, one in enumerate(keep)])
        > cost_of([group.clusters for group in graph.groups]) / 8
        for index, (count, group) in enumerate(zip(keep, graph.groups))
    )


def cases():
    for method, (_, space) in RIVALS.items():
        for scope in ("uniform", "global") if "scope" in space else ("uniform",):
            yield "lenet5", "parameters", method, scope, 1
            yield "lenet5", "macs", method, scope, 1
            if method in RESIDUAL:
                yield "residual", "macs", method, scope, 1
        if "stages" in space:
            yield "lenet5", "parameters", method, "global", 3
            yield "lenet5", "macs", method, "uniform", 3
    yield "residual", "macs", "L1NormPruner", "global", 3


@pytest.mark.parametrize(("name", "resource", "method", "scope", "stages"), [*cases()])
def test_every_method_uses_nearly_all_of_its_budget(
    founders, name, resource, method, scope, stages
):
    task, founder = founders[name]
    network, epochs = run(task, founder, method, resource, scope=scope, stages=stages)
    used = 8 * RESOURCES[resource].measure(network, founder, task.example_input)
    # What went in an earlier stage does not come back.
    least = 0.98 if stages == 1 else 0.95
    assert used <= 1 and (used >= least or nothing_fits(task, founder, network, resource))
    # Whole steps, and all of them.
    assert epochs == int(EPOCHS * BATCHES) / BATCHES
    assert memory_format_of(network) == memory_format_of(founder)
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in network.parameters()
    )
    assert not any(hasattr(module, "_nni_wrapper") for module in network.modules())
    assert tensors(network).keys() == tensors(founder).keys()
    train(copy.deepcopy(network), task, 1 / BATCHES, 1e-3, 0)


@pytest.mark.parametrize("method", ["AGPPruner", "TaylorPruner", "Torch-Pruning Taylor"])
def test_the_same_seed_gives_the_same_network(founders, method):
    task, founder = founders["lenet5"]
    first, again = (run(task, founder, method, scope="global")[0] for _ in range(2))
    assert all(
        torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters())
    )


@pytest.mark.parametrize("scope", ["uniform", "global"])
@pytest.mark.parametrize("method", ["FPGMPruner", "Torch-Pruning L1"])
def test_depthwise_and_grouped_convolutions(founders, method, scope):
    task, founder = founders["depthwise"]
    network, _ = run(task, founder, method, times=3.0, epochs=0.0, scope=scope, stages=1)
    used = 3 * RESOURCES["parameters"].measure(network, founder, task.example_input)
    assert 0.9 < used <= 1  # whole blocks go, and layers are narrow


def test_names_are_those_of_the_plan():
    assert set(nni_pruners.METHODS) == {*NNI_PRUNERS, *UNSTRUCTURED}
    assert set(outside.METHODS) == set(TORCH_PRUNERS)


@pytest.mark.parametrize("method", ["L1NormPruner", "LinearPruner", "Torch-Pruning L1"])
def test_a_ranking_does_not_empty_a_layer_of_small_weights(founders, method):
    task, founder = founders["lenet5"]
    small = copy.deepcopy(founder)
    with torch.no_grad():
        small.conv2.weight.div_(1000)
        small.conv2.bias.div_(1000)
    widths = {
        name: [len(module.weight) for module in (found.conv1, found.conv2, found.fc1)]
        for name, found in (
            (name, run(task, one, method, epochs=2 / BATCHES, scope="global", stages=1)[0])
            for name, one in (("whole", founder), ("small", small))
        )
    }
    assert widths["small"][1] > 3
    if method == "L1NormPruner":  # nothing is trained before
        assert widths["small"] == widths["whole"]


def test_what_is_excluded_stays(founders):
    task, founder = founders["lenet5"]
    task = dataclasses.replace(task, clusters={**task.clusters, "exclude_op_names": ["conv2"]})
    for method in ("L2NormPruner", "Torch-Pruning L1"):
        network, _ = run(task, founder, method, times=3.0, scope="global", stages=1)
        assert network.conv2.out_channels == 50 and network.fc2.out_features == 10


def test_frozen_parameters_stay_frozen(founders):
    task, founder = founders["lenet5"]
    frozen = copy.deepcopy(founder)
    frozen.conv1.requires_grad_(False)
    network, _ = run(task, frozen, "Torch-Pruning Taylor", scope="uniform")
    assert not network.conv1.weight.requires_grad and network.conv2.weight.requires_grad


def test_clusters_that_still_fit_come_back_the_most_important_first(founders):
    task, founder = founders["lenet5"]
    limit = Limit(task, founder, "parameters", 1 / 8, founder)
    metrics = {
        layer: {"weight": torch.rand(len(founder.get_submodule(layer).weight))}
        for layer in ("conv1", "conv2", "fc1")
    }
    for choice in (Ranked(limit, normalised(metrics)), Uniform(limit)):
        keep = limit.met(choice)
        for index in limit.free:
            more = [count + (index == place) for place, count in enumerate(keep)]
            least = 1 / 8 * cost.synapses(founder)
            assert limit.graph.parameters(keep) <= least
            assert limit.graph.parameters(more) > least
    half = limit.met(choice, progress=0.5)
    assert all(few < some < size for few, some, size in zip(keep, half, limit.sizes))


@pytest.mark.parametrize(
    ("method", "scope"),
    [("L1NormPruner", "uniform"), ("AGPPruner", "global"), ("Torch-Pruning L1", "global")],
)
def test_latency_is_corrected_by_what_is_measured(founders, monkeypatch, method, scope):
    """Planted: a latency of which 0.3 never go, so that the layers' sum does not predict it."""
    task, founder = founders["lenet5"]

    def latency(network, reference, inputs, seconds=1.0):
        macs = cost.macs(network, inputs) / cost.macs(reference, inputs)
        return 0.3 + 0.7 * macs

    monkeypatch.setattr("nni_stress.graph.latency.ratio", latency)
    monkeypatch.setattr("nni_stress.graph.latency.layer_latencies", RESOURCES["macs"].by_layer)
    network, _ = run(task, founder, method, "latency", times=2.0, scope=scope, stages=1)
    assert 0.97 <= 2 * latency(network, founder, (task.example_input,)) <= 1
    with pytest.raises(ValueError, match=r"^no ratio leaves 0.25 of the latency: 0.3\d* stays$"):
        run(task, founder, method, "latency", times=4.0, scope=scope, stages=1)


@pytest.mark.parametrize(
    "method", ["L2NormPruner", "MovementPruner", "AGPPruner", "Torch-Pruning L1", *UNSTRUCTURED]
)
def test_a_budget_out_of_reach_is_one_line(founders, method):
    task, founder = founders["lenet5"]
    with pytest.raises(
        ValueError, match=r"^no ratio leaves \S+ of the parameters: \S+ (stays|cannot be pruned)$"
    ):
        run(task, founder, method, times=1e5, scope="uniform", stages=1)


def test_what_must_train_first_needs_a_step(founders):
    task, founder = founders["lenet5"]
    for method in ("SlimPruner", "AGPPruner", "MovementPruner", "Torch-Pruning Taylor"):
        with pytest.raises(ValueError, match=r"needs a step .*, but got none"):
            run(task, founder, method, epochs=0.01, scope="uniform", stages=1)


@pytest.mark.parametrize("scope", ["uniform", "global"])
def test_zeros_stay_zero_in_a_training_that_knows_of_none(founders, scope):
    task, founder = founders["lenet5"]
    network, epochs = run(task, founder, "LevelPruner", scope=scope)
    assert epochs <= EPOCHS
    train(network, task, 0.3, 2e-3, 0)
    fidelity = task.fidelity(network, "validation")
    left = level_pruner.synapses_left(network)
    level_pruner.make_permanent(network)
    assert 0.98 <= 8 * left / cost.synapses(founder) <= 1
    assert level_pruner.synapses_left(network) == left
    assert task.fidelity(network, "validation") == fidelity
    assert cost.architecture(network) == cost.architecture(founder)
    assert {*tensors(network)} == {*tensors(founder)}
    assert all(module.weight.any() for module in (network.conv1, network.conv2, network.fc1))


def test_single_synapses_save_nothing_else(founders):
    with pytest.raises(ValueError, match="removes single synapses, and saves no macs"):
        run(*founders["lenet5"], "LevelPruner", "macs", scope="uniform")


def test_a_missing_package_is_named_in_one_line(founders, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(ModuleNotFoundError, match="needs the package torch-pruning: pip install"):
        run(*founders["lenet5"], "Torch-Pruning L1", scope="uniform")
