"""What is gained for a small network, one example at a time, by other runtimes and formats."""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni_stress.trials.models import alexnet, lenet5
from nni_stress.trials.models.resnet import resnet20
from torch import Tensor, nn

from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.latency import turns
from nni_stress.graph.onnx import write_onnx
from nni_stress.graph.onnx_network import OnnxNetwork
from nni_stress.graph.pt2 import write_pt2
from nni_stress.graph.quantization import quantize
from nni_stress.graph.tracing import trace
from nni_stress.utils.atomic_files import read_json

from ..checkout import RESULTS
from .engines import ENGINES, shaped
from .measuring import config

_SECONDS = 30.0  # of a network's measurement


def device() -> dict[str, Any]:
    """Measure small networks of three sizes; their weights do not matter for that."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:  # nothing that was compiled earlier is found
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        return _networks()


def _networks() -> dict[str, Any]:
    survivor = read_json(RESULTS / "alexnet" / "survivor.json")
    networks = {
        "LeNet-5, 1/20 of the MACs": (_cut(lenet5(), 28, 1 / 20), torch.rand(1, 1, 28, 28)),
        "ResNet-20, 1/10 of the MACs": (_cut(resnet20(), 28, 1 / 10), torch.rand(1, 1, 28, 28)),
        "AlexNet's survivor": (
            shaped(alexnet(10), survivor["architecture"]),
            torch.rand(1, 3, 224, 224),
        ),
    }
    return {name: _compare(network.eval(), image) for name, (network, image) in networks.items()}


def _cut(network: nn.Module, size: int, share: float) -> nn.Module:
    image = torch.rand(2, 1, size, size)
    pruner = StressPruner(
        network, config(network), temperature=0.0, budget={"macs": share}, example_input=image
    )
    pruner.compress()
    return pruner.synthesize(image)


def _compare(network: nn.Module, image: Tensor) -> dict[str, Any]:
    """Run the network in all ways in turns; the first call includes what a way prepares."""
    runs: dict[str, Callable[[], object]] = {}
    first: dict[str, float] = {}
    for name, engine in {**ENGINES, "compiled, channels last": _compiled_last, **_FILES}.items():
        began = time.perf_counter()
        runs[name] = engine(network, image)
        runs[name]()
        first[name] = round(time.perf_counter() - began, 1)
    times = dict(zip(runs, turns(list(runs.values()), _SECONDS, time.thread_time).T))
    whole = times["eager"]
    return {
        "synapses": cost.synapses(network),
        "macs": cost.macs(network, image),
        "turns": len(whole),
        "ways": {
            name: {
                "milliseconds": round(1e3 * float(np.median(own)), 4),
                "faster": round(float(np.median(whole / own)), 2),
                "first_call_s": first[name],
            }
            for name, own in times.items()
        },
    }


def _compiled_last(network: nn.Module, image: Tensor) -> Callable[[], object]:
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    return ENGINES["compiled"](last, image)


def _pt2(network: nn.Module, image: Tensor) -> Callable[[], object]:
    with tempfile.TemporaryDirectory() as folder:
        loaded, _ = write_pt2(trace(network, image), Path(folder) / "network.pt2")
    return lambda: loaded(image)


def _int8(network: nn.Module, image: Tensor) -> Callable[[], object]:
    traced = trace(network, image)
    with tempfile.TemporaryDirectory() as folder:
        whole, _ = write_onnx(traced, Path(folder) / "network.onnx")
        small = Path(folder) / "int8.onnx"
        quantize(Path(folder) / "network.onnx", small, [whole.arrays((image,))])
        return OnnxNetwork(small, traced).prepared((image,))


_FILES = {"torch.export": _pt2, "ONNX Runtime, 8-bit": _int8}
