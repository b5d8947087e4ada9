"""Latency of founder and offspring under the engines that run networks."""

from __future__ import annotations

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from nni_stress.trials.models import alexnet, yolov2
from torch import Tensor, nn

from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.onnx import export_onnx
from nni_stress.utils.atomic_files import read_json
from nni_stress.utils.messages import one_line

from ..checkout import RESULTS
from .measuring import config, turns

_BATCHES = (1, 32)
_SHARES = {"parameters": 1 / 33, "macs": 1 / 16}
_COUNTED = (nn.Conv2d, nn.Linear)  # layers that MACs count


def engines() -> dict[str, Any]:
    """Measure founder and last survivor under each engine.

    With the share of the ratio of their MACs that becomes speed.
    """
    return {
        f"{name}, batch {batch}": _compare(make(10).eval(), _survivor(name, make(10)), size, batch)
        for name, make, size in (("yolov2", yolov2, 416), ("alexnet", alexnet, 224))
        for batch in _BATCHES
    }


def thirty_three() -> dict[str, Any]:
    """Measure a YOLOv2 with the synapses and MACs of `_SHARES`, and the time of its layers.

    It is cut out of an untrained founder; this says nothing about its accuracy.
    """
    founder = yolov2(10).eval()
    survivor = _survivor("yolov2", yolov2(10))
    small = _cut(yolov2(10))
    image = torch.rand(1, 3, 416, 416)
    found = {"yolov2 at 33x, batch 1": _compare(founder, small, 416, 1)}
    for suffix, memory_format in (
        ("", torch.contiguous_format),
        (", channels last", torch.channels_last),
    ):
        for network in (founder, survivor, small):
            network.to(memory_format=memory_format)
        images = image.contiguous(memory_format=memory_format)
        found[f"survivor, layers{suffix}"] = _compare_layers(founder, survivor, images)
        found[f"at 33x, layers{suffix}"] = _compare_layers(founder, small, images)
    return found


def _compare(founder: nn.Module, small: nn.Module, size: int, batch: int) -> dict[str, Any]:
    image = torch.rand(1, 3, size, size)
    ideal = cost.macs(founder, image) / cost.macs(small, image)
    return {
        "ideal": round(ideal, 1),
        "synapses": round(cost.synapses(founder) / cost.synapses(small), 1),
        **_compare_engines(founder, small, image.expand(batch, -1, -1, -1), ideal),
    }


def _survivor(system: str, network: nn.Module) -> nn.Module:
    record = read_json(RESULTS / system / "survivor.json")
    return shaped(network, record["architecture"]).eval()


def _cut(network: nn.Module) -> nn.Module:
    image = torch.rand(1, 3, 128, 128)
    pruner = StressPruner(
        network, config(network), temperature=0.0, budget=_SHARES, example_input=image
    )
    pruner.compress()
    return pruner.synthesize(image).eval()


def shaped(network: nn.Module, architecture: Mapping[str, list[int]]) -> nn.Module:
    """Replace layers by new ones of recorded shapes: latency does not depend on the weights.

    Parameters
    ----------
    network
        Changed in place, and returned.
    architecture
        {layer: shape of its weight}.

    Examples
    --------
    >>> shaped(nn.Sequential(nn.Linear(4, 4)), {"0": [2, 4]})
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
    )
    """
    for name, shape in architecture.items():
        owner, _, leaf = name.rpartition(".")
        new = _layer_like(network.get_submodule(name), shape)
        setattr(network.get_submodule(owner), leaf, new)
    return network


def _layer_like(layer: nn.Module, shape: list[int]) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(
            shape[1],
            shape[0],
            layer.kernel_size,
            layer.stride,
            layer.padding,
            bias=layer.bias is not None,
        )
    if isinstance(layer, nn.Linear):
        return nn.Linear(shape[1], shape[0], layer.bias is not None)
    return type(layer)(shape[0])


def _compare_engines(
    founder: nn.Module, offspring: nn.Module, images: Tensor, ideal: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    number = 9 if len(images) == 1 else 3
    for name, engine in ENGINES.items():
        try:
            variants = {
                "founder": engine(founder, images),
                "offspring": engine(offspring, images),
            }
        except Exception as error:  # an engine that cannot run one of them is a result, too
            found[name] = one_line(error)[:200]
            continue
        compared = turns({role: _timed(run) for role, run in variants.items()}, number)
        faster = 1 / compared["offspring"]["ratio"]
        found[name] = {
            "founder": compared["founder"]["seconds"],
            "offspring": compared["offspring"]["seconds"],
            "faster": round(faster, 2),
            "share_of_ideal": round(faster / ideal, 2),
        }
    return found


def _compare_layers(founder: nn.Module, offspring: nn.Module, image: Tensor) -> dict[str, Any]:
    """Compare the seconds in layers that MACs count, and in all others (norms, activations)."""
    kinds = ("convolution and linear layers", "all other layers")
    seconds = zip(_layer_seconds(founder, image), _layer_seconds(offspring, image))
    return {
        kind: {
            "founder": round(whole, 5),
            "offspring": round(small, 5),
            "faster": round(whole / small, 2),
        }
        for kind, (whole, small) in zip(kinds, seconds)
    }


def _layer_seconds(network: nn.Module, image: Tensor, passes: int = 9) -> tuple[float, float]:
    """Return median seconds of a pass in convolution and linear layers, and in all others."""
    started: dict[nn.Module, float] = {}
    spent: list[list[float]] = []

    def before(layer: nn.Module, _: Any) -> None:
        started[layer] = time.perf_counter()

    def after(layer: nn.Module, *_: Any) -> None:
        spent[-1][not isinstance(layer, _COUNTED)] += time.perf_counter() - started[layer]

    leaves = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_pre_hook(before) for layer in leaves]
    hooks += [layer.register_forward_hook(after) for layer in leaves]
    with torch.inference_mode():
        for _ in range(passes + 2):  # two passes to warm up
            spent.append([0.0, 0.0])
            network(image)
    for hook in hooks:
        hook.remove()
    counted, others = zip(*spent[2:])
    return statistics.median(counted), statistics.median(others)


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    run()
    run()

    def timed() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return timed


def _eager(network: nn.Module, images: Tensor) -> Callable[[], object]:
    def run() -> None:
        with torch.inference_mode():
            network(images)

    return run


def _channels_last(network: nn.Module, images: Tensor) -> Callable[[], object]:
    last = torch.channels_last
    return _eager(
        copy.deepcopy(network).to(memory_format=last), images.contiguous(memory_format=last)
    )


def _compiled(network: nn.Module, images: Tensor) -> Callable[[], object]:
    return _eager(torch.compile(copy.deepcopy(network)), images.contiguous())


def _onnx_runtime(network: nn.Module, images: Tensor) -> Callable[[], object]:
    """Run the file of `export_onnx`, in which each batch norm is folded into its convolution."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        export_onnx(network, file, images[:1])
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    name, array = session.get_inputs()[0].name, images.contiguous().numpy()
    return lambda: session.run(None, {name: array})


ENGINES = {
    "eager": _eager,
    "channels last": _channels_last,
    "compiled": _compiled,
    "ONNX Runtime": _onnx_runtime,
}
