"""Latency of what comes out, founder against offspring, under the engines that run it."""
from __future__ import annotations

import copy
import json
import tempfile
import time
from pathlib import Path
from typing import Callable, Mapping

import torch
from torch import Tensor, nn

from nni_stress import cost, networks
from trials.models import alexnet, yolov2

from .measuring import turns

_RESULTS = Path(__file__).parents[1] / "results"
# {system: (its network, size of its images)}; the offspring is the last survivor of reports/results/<system>.
_SYSTEMS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "yolov2": (lambda: yolov2(10), 416), "alexnet": (lambda: alexnet(10), 224)}
_BATCHES = (1, 32)


def engines() -> dict:
    """Seconds of founder and offspring under each engine, and how much of the ratio of their MACs that amounts to."""
    found = {}
    for name, (make, size) in _SYSTEMS.items():
        record = _RESULTS / name / "survivor.json"
        if not record.exists():
            print(f"engines: {name}: no {record}, so there is no offspring to measure", flush=True)
            continue
        founder, architecture = make().eval(), json.loads(record.read_text())["architecture"]
        offspring = shaped(make(), architecture).eval()
        image = torch.rand(1, 3, size, size)
        ideal = cost.macs(founder, image) / cost.macs(offspring, image)
        for batch in _BATCHES:
            found[f"{name}, batch {batch}"] = dict(ideal=round(ideal, 1), synapses=round(
                cost.synapses(founder) / cost.synapses(offspring), 1), **_measured(founder, offspring, image.expand(batch, -1, -1, -1)))
    return found


def shaped(network: nn.Module, architecture: Mapping[str, list[int]]) -> nn.Module:
    """A network of new layers of the shapes of a record: latency asks for no more."""
    for name, shape in architecture.items():
        old, (owner, _, leaf) = network.get_submodule(name), name.rpartition(".")
        if isinstance(old, nn.Conv2d):
            new = nn.Conv2d(shape[1], shape[0], old.kernel_size, old.stride, old.padding, bias=old.bias is not None)
        elif isinstance(old, nn.Linear):
            new = nn.Linear(shape[1], shape[0], old.bias is not None)
        else:
            new = type(old)(shape[0])
        setattr(network.get_submodule(owner), leaf, new)
    return network


def _measured(founder: nn.Module, offspring: nn.Module, images: Tensor) -> dict:
    found, number = {}, 9 if len(images) == 1 else 3
    for name, engine in ENGINES.items():
        try:
            pair = {one: engine(network, images) for one, network in (("founder", founder), ("offspring", offspring))}
        except Exception as error:  # an engine that cannot run one of them is a result, too
            found[name] = " ".join(str(error).split())[:200]
            continue
        compared = turns({one: _timed(run) for one, run in pair.items()}, number)
        found[name] = dict(founder=compared["founder"]["seconds"], offspring=compared["offspring"]["seconds"],
                           faster=round(1 / compared["offspring"]["ratio"], 2))
    return found


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
    return _eager(copy.deepcopy(network).to(memory_format=last), images.contiguous(memory_format=last))


def _compiled(network: nn.Module, images: Tensor) -> Callable[[], object]:
    return _eager(torch.compile(copy.deepcopy(network)), images.contiguous())


def _onnx_runtime(network: nn.Module, images: Tensor) -> Callable[[], object]:
    """As `export_onnx` writes it: each batch norm folded into its convolution."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        networks.export_onnx(network, Path(folder) / "network.onnx", images[:1])
        session = onnxruntime.InferenceSession(str(Path(folder) / "network.onnx"), options, providers=["CPUExecutionProvider"])
    name, array = session.get_inputs()[0].name, images.contiguous().numpy()
    return lambda: session.run(None, {name: array})


ENGINES = {"eager": _eager, "channels last": _channels_last, "compiled": _compiled, "ONNX Runtime": _onnx_runtime}
