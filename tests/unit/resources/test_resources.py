"""Resources: what records say of them, what they cost, and what is measured."""

import subprocess
import sys
from typing import NamedTuple

import pytest
import torch
from torch import nn

from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.resources import RESOURCES


class Record(NamedTuple):
    uid: str
    synapses: int
    macs: int
    latency: float | None = None


FOUNDER = Record("founder", 100, 1000)


def network(hidden=8):
    return nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 2))


def test_the_share_used_is_read_from_records():
    record = Record("g001-00", 25, 500, 0.75)
    used = {name: resource.used(record, FOUNDER) for name, resource in RESOURCES.items()}
    assert used == {"parameters": 0.25, "macs": 0.5, "latency": 0.75}
    assert all(resource.used(FOUNDER, FOUNDER) == 1 for resource in RESOURCES.values())


def test_a_latency_that_was_not_measured_is_an_error():
    with pytest.raises(ValueError, match="the latency of g001-00 must be measured, but got none"):
        RESOURCES["latency"].used(Record("g001-00", 25, 500), FOUNDER)


@pytest.mark.parametrize("name", ["parameters", "macs"])
def test_the_cost_of_fewer_clusters_is_what_the_small_network_measures(name):
    whole, inputs = network(), torch.rand(3, 4)
    graph = ClusterGraph(whole, inputs)
    cost = RESOURCES[name].cost(graph, whole)
    share = RESOURCES[name].measure(network(hidden=3), whole, inputs)
    sizes = [group.clusters for group in graph.groups]
    kept = [3 if size == 8 else size for size in sizes]
    assert share == cost(kept) / cost(sizes) < 1


def test_latency_is_measured_and_stands_alone():
    assert [name for name, resource in RESOURCES.items() if resource.measured] == ["latency"]
    whole, inputs = network(), torch.rand(3, 4)
    cost = RESOURCES["latency"].cost(ClusterGraph(whole, inputs), whole)
    assert 0 < cost([1, 2]) <= cost([8, 2])
    assert RESOURCES["latency"].measure(whole, whole, inputs) > 0


def test_resources_are_imported_without_torch_and_nni():
    code = (
        "import sys; import nni_stress.resources; "
        "assert not {'torch', 'nni.compression'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
