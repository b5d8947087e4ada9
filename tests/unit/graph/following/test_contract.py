"""Whatever is followed can be cut, and computes what the masked network computes."""

import random
from typing import Any

import pytest
import torch
from torch import nn

from nni_stress.graph.clusters import Alike, find_alike
from nni_stress.graph.following.cutting import cut
from nni_stress.graph.following.follow import follow
from nni_stress.graph.following.reference import difference, run_without
from nni_stress.graph.following.structure import Structure
from nni_stress.graph.masked import MaskedClusters
from nni_stress.graph.verification import doubled, verified
from nni_stress.utils.batches import answer

from .networks import CASES


def made(name: str) -> tuple[nn.Module, Any]:
    """A network in training mode, but for one module, and a batch of inputs."""
    torch.manual_seed(0)
    network = CASES[name].make().train()
    next(iter(network.children()), network).eval()
    return network, CASES[name].inputs()


def run(network: nn.Module, inputs: Any) -> Any:
    modes = {module: module.training for module in network.modules()}
    with torch.no_grad():
        output = answer(network.eval(), inputs)
    for module, training in modes.items():
        module.training = training
    return vars(output) if hasattr(output, "__dataclass_fields__") else output


def attributes_of(network: nn.Module) -> list[dict[str, str]]:
    """Attributes of all modules, but for those that layers renew whenever they run."""
    return [
        {
            key: repr(value)
            for key, value in vars(module).items()
            if "_flat_weight" not in key and not isinstance(value, torch.Tensor)
        }
        for module in network.modules()
    ]


def groups_of(structure: Structure) -> list[tuple[list[int], int]]:
    return [(alike.clusters, alike.blocks) for alike in find_alike(structure)]


def some(groups: list[Alike]) -> set[int]:
    """A random half of every group, as many of each of its blocks."""
    chosen = random.Random(0)
    gone: set[int] = set()
    for group in groups:
        size = len(group.clusters) // group.blocks
        for start in range(0, len(group.clusters), size):
            gone.update(chosen.sample(group.clusters[start : start + size], size // 2))
    return gone


@pytest.mark.parametrize("name", CASES)
def test_a_network_can_be_cut_wherever_its_groups_say(name):
    network, inputs = made(name)
    modes = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    attributes = attributes_of(network)
    whole = run(network, inputs)

    structure = verified(network, follow(network, inputs), inputs, groups_of)
    groups = find_alike(structure)
    sizes = sorted(group.rpartition(": ")[2].split(" in ")[0] for group in CASES[name].groups)
    assert sorted(str(len(group.clusters)) for group in groups) == sizes

    gone = some(groups)
    wanted = run_without(network, structure, gone, inputs)
    wanted = vars(wanted) if hasattr(wanted, "__dataclass_fields__") else wanted
    small, _ = made(name)
    cut(small, structure, gone)
    assert difference(wanted, run(small, inputs)) < 1e-5

    masked = MaskedClusters(network, structure, wrapped=())
    masked.put_on(gone)
    assert difference(wanted, run(network, inputs)) < 1e-5
    masked.take_off()
    run(small, doubled(inputs))

    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert attributes_of(network) == attributes
    assert difference(whole, run(network, inputs)) == 0
