"""Whatever is followed can be cut, and computes what the masked network computes."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from nni_stress.graph import cost
from nni_stress.graph.cluster_factors import ClusterFactors
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.direct_readings import read_directly
from nni_stress.graph.following.cutting import cut
from nni_stress.graph.following.reference import difference, run_without
from nni_stress.graph.slicing import balanced
from nni_stress.graph.verification import doubled
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
    return plain(output)


def plain(output: Any) -> Any:
    """An output that may be a dataclass, as torch's trees of tensors know none."""
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


def described(graph: ClusterGraph) -> Iterator[str]:
    """The groups of a graph as a case names them."""
    for group, clusters in zip(graph.groups, graph.clusters):
        name = " ".join(group.layers)
        if not group.layers:
            tensor = next(t.tensor for t in graph.traces.values() if clusters[0] in t.clusters)
            name = f"({tensor})"
        yield f"{name}: {group.clusters}" + (f" in {group.blocks}" if group.blocks > 1 else "")


def some(graph: ClusterGraph) -> tuple[set[int], list[int]]:
    """A random half of every group, and how many each group keeps."""
    chosen = random.Random(0)
    gone = balanced(graph, {c for own in graph.clusters for c in chosen.sample(own, len(own) // 2)})
    for group, own in zip(graph.groups, graph.clusters):
        if group.blocks > 1:  # random ones of each block, if balance has brought all back
            size = len(own) // group.blocks
            for start in range(0, len(own), size):
                block = own[start : start + size]
                gone.difference_update(block)
                gone.update(chosen.sample(block, size // 2))
    return gone, [sum(c not in gone for c in own) for own in graph.clusters]


# Every network as it is by default, and those with attentions once more.
WAYS = [(name, "heads") for name in CASES] + [(n, "width") for n, c in CASES.items() if c.narrow]


@pytest.mark.parametrize(("name", "attention"), WAYS)
def test_a_network_can_be_cut_wherever_its_groups_say(name, attention):
    network, inputs = made(name)
    modes = [module.training for module in network.modules()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    attributes = attributes_of(network)
    whole = run(network, inputs)

    graph = ClusterGraph(network, inputs, attention)
    groups = {"heads": CASES[name].groups, "width": CASES[name].narrow}
    assert sorted(described(graph)) == sorted(groups[attention])
    for layer, outputs in graph.outputs.items():
        assert (0 in outputs) == bool(graph.frozen.get(layer, ("",)).text if 0 in outputs else "")
    for layer, part in CASES[name].frozen.items() if attention == "heads" else ():
        assert part in str(graph.frozen[layer])

    gone, keep = some(graph)
    wanted = plain(run_without(network, graph.structure, gone, inputs))
    small, _ = made(name)
    cut(small, graph.structure, gone)
    assert difference(wanted, run(small, inputs)) < 1e-5

    for directly in (None, read_directly(network, graph)):  # everywhere, or where it is read
        factors = ClusterFactors(network, graph.structure, directly)
        factors.mask(gone)
        assert difference(wanted, run(network, inputs)) < 1e-5
        factors.take_off()

    everything = [group.clusters for group in graph.groups]
    for sizes, shaped in ((everything, network), (keep, small)):
        assert graph.parameters(sizes) == cost.synapses(shaped)
        assert graph.macs(sizes) == cost.macs(shaped, inputs)
    run(small, doubled(inputs))

    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert attributes_of(network) == attributes
    assert difference(whole, run(network, inputs)) == 0


# They make tensors on the default device themselves.
MAKES_TENSORS = {
    *("parameters.Scattered", "operators.Picked", "operators.Gathered"),
    *("attention.Decoder", "attention.Crossed"),
}


@pytest.mark.parametrize("name", [name for name in CASES if name not in MAKES_TENSORS])
def test_labels_lie_in_the_memory_of_the_cpu_whatever_the_default_device(name):
    network, inputs = made(name)
    expected = ClusterGraph(network, inputs)
    with torch.device("meta"):
        try:
            run(network, inputs)
        except (RuntimeError, NotImplementedError):
            pytest.skip("makes tensors of its own on the default device")
        graph = ClusterGraph(network, inputs)
    assert (graph.groups, graph.clusters) == (expected.groups, expected.clusters)
