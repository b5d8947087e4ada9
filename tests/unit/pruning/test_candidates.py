"""The search among candidates, through StressPruner."""

import copy

import pytest
import torch
from torch import nn

from nni_stress import Screen, StressPruner
from nni_stress.graph import cost
from tests.unit.graph.test_cluster_graph import Grouped, Residual
from tests.unit.pruning.test_pruner import evaluator
from trials.models import lenet5

EVERY = [{"op_types": ["Conv2d", "Linear"]}]
NETWORKS = {"lenet5": (lenet5, 1), "residual": (Residual, 3), "grouped": (Grouped, 3)}


def make(name):
    torch.manual_seed(0)
    factory, channels = NETWORKS[name]
    width = 28 if channels == 1 else 16
    network = factory()
    images = torch.rand(64, channels, width, width)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics that are worth estimating again
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.weight, 0.5, 2)
    labels = torch.randint(network(images[:2]).shape[1], (64,))
    return network.eval(), images, Screen(images, labels, nn.functional.cross_entropy)


def prune(network, images, screen, candidates=40, seed=0, **arguments):
    network = copy.deepcopy(network)
    pruner = StressPruner(
        network,
        EVERY,
        arguments.pop("evaluate", lambda network: None)(network),
        example_input=images[:4],
        candidates=candidates,
        screen=screen if candidates > 1 else None,
        seed=seed,
        **{"budget": {"macs": 0.2}, **arguments},
    )
    pruner.compress()
    return pruner, pruner.synthesize(images[:4])


def used(small, whole, images, resource):
    measure = cost.synapses if resource == "parameters" else lambda n: cost.macs(n, images)
    return measure(small) / measure(whole)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "budget", [{"macs": 0.2}, {"parameters": 0.2}, {"macs": 0.3, "parameters": 0.2}]
)
def test_the_best_of_many_keeps_to_every_budget_and_is_never_worse_than_the_shares(name, budget):
    network, images, screen = make(name)
    before = copy.deepcopy(network.state_dict())
    _, alone = prune(network, images, screen, 1, budget=budget)
    pruner, best = prune(network, images, screen, budget=budget)
    assert all(used(best, network, images, each) <= share for each, share in budget.items())
    assert pruner.judged.number > 2
    assert pruner.judged.loss == pytest.approx(screen(best, 64), rel=1e-4)
    assert pruner.judged.loss <= screen(alone, 64) * (1 + 1e-5)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_floors_and_multiples_hold_for_the_best():
    network, images, screen = make("lenet5")
    _, small = prune(network, images, screen, budget={"macs": 0.3}, multiple=4, floor=6)
    counts = [shape[0] for shape in cost.architecture(small).values()]
    wholes = [20, 50, 500]
    assert all(6 <= count <= whole for count, whole in zip(counts, wholes))
    assert all(count in (6, whole) or count % 4 == 0 for count, whole in zip(counts, wholes))


def test_a_latency_budget_is_searched():
    network, images, screen = make("lenet5")
    pruner, small = prune(network, images, screen, 12, budget={"latency": 0.6})
    assert pruner.judged.number > 2
    assert cost.macs(small, images) < cost.macs(network, images)
    assert pruner.judged.loss == pytest.approx(screen(small, 64), rel=1e-4)


@pytest.mark.parametrize("stressor", ["nested_silence", "attenuate"])
def test_after_stress_the_same_seed_gives_the_same_offspring(stressor):
    network, images, screen = make("lenet5")

    def offspring(seed):
        pruner, small = prune(
            network,
            images,
            screen,
            seed=seed,
            evaluate=evaluator,
            training_steps=4,
            stressor=stressor,
        )
        return pruner.judged, list(small.state_dict().values())

    (judged, weights), (again, others) = offspring(3), offspring(3)
    assert judged == again and all(map(torch.equal, weights, others))


def test_what_another_pruner_removed_stays_removed_in_candidates():
    network, images, screen = make("lenet5")
    first = StressPruner(network, [{"op_types": ["Linear"], "sparse_ratio": 0.5}])
    first.compress()
    pruner = StressPruner.from_compressor(
        first,
        EVERY,
        budget={"macs": 0.2},
        example_input=images[:4],
        candidates=30,
        screen=screen,
    )
    pruner.compress()
    masked = screen(pruner.bound_model, 64)
    assert pruner.judged.loss == pytest.approx(masked, rel=1e-4)
    assert pruner.judged.loss == pytest.approx(screen(pruner.synthesize(images[:4]), 64), rel=1e-4)


def test_without_a_search_nothing_is_judged():
    network, images, screen = make("lenet5")
    assert prune(network, images, screen, 1)[0].judged is None
