"""Latency of what comes out, founder against offspring, under the engines that run it."""

from __future__ import annotations

import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.onnx import export_onnx
from trials.models import alexnet, yolov2

from .measuring import config, turns

_RESULTS = Path(__file__).parents[1] / "results"
_BATCHES = (1, 32)
_SHARES = {"parameters": 1 / 33, "macs": 1 / 16}


def engines() -> dict:
    """Seconds of founder and last survivor under each engine, and how much of the ratio of their MACs that amounts to."""
    return {
        f"{name}, batch {batch}": _compared(make(10).eval(), _survivor(name, make(10)), size, batch)
        for name, make, size in (("yolov2", yolov2, 416), ("alexnet", alexnet, 224))
        for batch in _BATCHES
    }


def thirty_three() -> dict:
    """The same of a YOLOv2 of so many synapses and MACs as `_SHARES` says, and where a pass spends its time.

    It is cut out of an untrained founder: that it would be as accurate, it does not say.
    """
    founder, survivor, small = yolov2(10).eval(), _survivor("yolov2", yolov2(10)), _cut(yolov2(10))
    image = torch.rand(1, 3, 416, 416)
    found = {"yolov2 at 33x, batch 1": _compared(founder, small, 416, 1)}
    for form, memory_format in (
        ("", torch.contiguous_format),
        (", channels last", torch.channels_last),
    ):
        for one in (founder, survivor, small):
            one.to(memory_format=memory_format)
        images = image.contiguous(memory_format=memory_format)
        found[f"survivor, layers{form}"] = _where(founder, survivor, images)
        found[f"at 33x, layers{form}"] = _where(founder, small, images)
    return found


def _compared(founder: nn.Module, small: nn.Module, size: int, batch: int) -> dict:
    image = torch.rand(1, 3, size, size)
    ideal = cost.macs(founder, image) / cost.macs(small, image)
    return dict(
        ideal=round(ideal, 1),
        synapses=round(cost.synapses(founder) / cost.synapses(small), 1),
        **_measured(founder, small, image.expand(batch, -1, -1, -1), ideal),
    )


def _survivor(system: str, network: nn.Module) -> nn.Module:
    return shaped(
        network, json.loads((_RESULTS / system / "survivor.json").read_text())["architecture"]
    ).eval()


def _cut(network: nn.Module) -> nn.Module:
    image = torch.rand(1, 3, 128, 128)
    pruner = StressPruner(
        network, config(network), temperature=0.0, budget=_SHARES, example_input=image
    )
    pruner.compress()
    return pruner.synthesize(image).eval()


def shaped(network: nn.Module, architecture: Mapping[str, list[int]]) -> nn.Module:
    """A network of new layers of the shapes of a record: latency asks for no more."""
    for name, shape in architecture.items():
        old, (owner, _, leaf) = network.get_submodule(name), name.rpartition(".")
        if isinstance(old, nn.Conv2d):
            new = nn.Conv2d(
                shape[1],
                shape[0],
                old.kernel_size,
                old.stride,
                old.padding,
                bias=old.bias is not None,
            )
        elif isinstance(old, nn.Linear):
            new = nn.Linear(shape[1], shape[0], old.bias is not None)
        else:
            new = type(old)(shape[0])
        setattr(network.get_submodule(owner), leaf, new)
    return network


def _measured(founder: nn.Module, offspring: nn.Module, images: Tensor, ideal: float) -> dict:
    found, number = {}, 9 if len(images) == 1 else 3
    for name, engine in ENGINES.items():
        try:
            pair = {
                one: engine(network, images)
                for one, network in (("founder", founder), ("offspring", offspring))
            }
        except Exception as error:  # an engine that cannot run one of them is a result, too
            found[name] = " ".join(str(error).split())[:200]
            continue
        compared = turns({one: _timed(run) for one, run in pair.items()}, number)
        faster = 1 / compared["offspring"]["ratio"]
        found[name] = {
            "founder": compared["founder"]["seconds"],
            "offspring": compared["offspring"]["seconds"],
            "faster": round(faster, 2),
            "share_of_ideal": round(faster / ideal, 2),
        }
    return found


def _where(founder: nn.Module, offspring: nn.Module, image: Tensor) -> dict:
    """What of a pass goes to layers that MACs count, and what to those that they do not: norms, activations, pooling."""
    counted, rest = zip(*(_spent(network, image) for network in (founder, offspring)))
    return {
        kind: {
            "founder": round(one, 5),
            "offspring": round(other, 5),
            "faster": round(one / other, 2),
        }
        for kind, (one, other) in (
            ("convolution and linear layers", counted),
            ("all other layers", rest),
        )
    }


def _spent(network: nn.Module, image: Tensor, passes: int = 9) -> tuple[float, float]:
    """Median seconds of a pass in convolution and linear layers, and in all other ones."""
    began, spent = {}, []

    def before(layer, _):
        began[layer] = time.perf_counter()

    def after(layer, *_):
        spent[-1][not isinstance(layer, (nn.Conv2d, nn.Linear))] += (
            time.perf_counter() - began[layer]
        )

    leaves = [layer for layer in network.modules() if not list(layer.children())]
    hooks = [
        hook
        for layer in leaves
        for hook in (layer.register_forward_pre_hook(before), layer.register_forward_hook(after))
    ]
    with torch.inference_mode():
        for _ in range(passes + 2):
            spent.append([0.0, 0.0])
            network(image)
    for hook in hooks:
        hook.remove()
    return tuple(statistics.median(one) for one in zip(*spent[2:]))


def _timed(run: Callable[[], object]) -> Callable[[], float]:
    run(), run()

    def timed() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return timed


def _eager(network: nn.Module, images: Tensor) -> Callable[[], object]:
    def run():
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
    """As `export_onnx` writes it: each batch norm folded into its convolution."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(network, Path(folder) / "network.onnx", images[:1])
        session = onnxruntime.InferenceSession(
            str(Path(folder) / "network.onnx"), options, providers=["CPUExecutionProvider"]
        )
    name, array = session.get_inputs()[0].name, images.contiguous().numpy()
    return lambda: session.run(None, {name: array})


ENGINES = {
    "eager": _eager,
    "channels last": _channels_last,
    "compiled": _compiled,
    "ONNX Runtime": _onnx_runtime,
}
