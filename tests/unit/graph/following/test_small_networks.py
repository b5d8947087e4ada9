"""A small network is an ordinary one: it can be copied, saved, loaded and exported."""

import copy
import pickle
from typing import Any

import pytest
from torch import nn

import nni_stress
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.graph.following.reference import difference
from nni_stress.graph.synthesis import synthesize

from .networks import CASES
from .test_contract import WAYS, made, run, some

# One of each kind of module that repeats sizes; the rest is exported by `make test-all`.
EXPORTED_ALWAYS = (
    "layers.depthwise_conv2d",
    "norms.LayerNorm",
    "attention.multihead",
    "programs.Keywords",
    "sizes.Configured",
)


def small(name: str, attention: str = "heads") -> tuple[nn.Module, Any]:
    """A network without a random half of every group, and a batch of inputs."""
    network, inputs = made(name)
    graph = ClusterGraph(network, inputs, attention)
    return synthesize(network, inputs, {}, graph=graph, also_removed=some(graph)[0]), inputs


def can_be_pickled(network: nn.Module) -> bool:
    try:
        pickle.dumps(network)
    except (pickle.PicklingError, AttributeError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize(("name", "attention"), WAYS)
def test_a_small_network_can_be_copied_and_saved(name, attention, tmp_path):
    network, inputs = small(name, attention)
    expected = run(network, inputs)
    assert difference(expected, run(copy.deepcopy(network), inputs)) == 0
    if can_be_pickled(made(name)[0]):
        assert difference(expected, run(pickle.loads(pickle.dumps(network)), inputs)) == 0
    file, second = tmp_path / "network.safetensors", tmp_path / "again.safetensors"
    nni_stress.save(network, file)
    again = nni_stress.load(file, lambda: made(name)[0])
    assert difference(expected, run(again, inputs)) == 0
    assert str(again) == str(network)
    nni_stress.save(again, second)
    assert second.read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in EXPORTED_ALWAYS else pytest.mark.slow)
        for name in CASES
    ],
)
def test_a_small_network_can_be_exported_if_the_whole_one_can(name, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    whole, inputs = made(name)
    try:
        nni_stress.export_onnx(whole, tmp_path / "whole.onnx", inputs)
    except Exception as error:
        assert name not in EXPORTED_ALWAYS
        pytest.skip(f"torch cannot export the whole network: {type(error).__name__}")
    network, inputs = small(name)
    nni_stress.export_onnx(network, tmp_path / "small.onnx", inputs)
    sizes = [(tmp_path / f"{which}.onnx").stat().st_size for which in ("whole", "small")]
    assert sizes[1] < sizes[0] or not any(CASES[name].groups)
