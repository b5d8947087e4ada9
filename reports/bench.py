"""What speed costs and brings: ratios taken side by side in one run, on this machine.

    make bench                                  # all of it; writes reports/results/bench.json
    python -m reports.bench synthesis growth    # parts of it

What is compared takes turns, and the median of the turns' ratios counts: whatever else the machine does slows all alike.
"""
from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import importlib.util
import os
import platform
import statistics
import threading
import time
from pathlib import Path
from typing import Callable, Mapping

import nni
import psutil
import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup, mask_conflict, model_speedup
from nni.compression.utils.evaluator import TorchEvaluator
from torch import nn
from torch.nn import functional
from torchvision import models

from nni_stress import FusedAdam, StressPruner, cost
from nni_stress.files import read_json, write_json
from trials.models import alexnet, lenet5, yolov2

RESULT = Path(__file__).parent / "results" / "bench.json"
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5": (lenet5, (128, 1, 28, 28)),
    "AlexNet 64": (lambda: alexnet(10), (32, 3, 64, 64)),
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (16, 3, 64, 64)),
    "YOLOv2 128": (lambda: yolov2(10), (8, 3, 128, 128)),
}
PRUNABLE = {"op_types": ["Conv2d", "Linear"]}
SPARSITY = 0.5


def config(network: nn.Module, **more) -> list[dict]:
    """All layers but the last."""
    last = [name for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))][-1]
    return [{**PRUNABLE, "exclude_op_names": [last], **more}]


def turns(variants: Mapping[str, Callable[[], float]], number: int) -> dict[str, dict]:
    """Let variants take turns; each returns its seconds. Of each the median, and its median ratio to the first."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(number):
        for name, run in variants.items():
            gc.collect()
            found[name].append(run())
    first = found[next(iter(variants))]
    return {name: dict(seconds=round(statistics.median(taken), 5),
                       ratio=round(statistics.median(one / other for one, other in zip(taken, first)), 3))
            for name, taken in found.items()}


# 1. A training step

def steps() -> dict:
    """A step of plain training, under the wrappers of NNI's L1NormPruner, and under stress."""
    return {name: _steps(*NETWORKS[name]) for name in NETWORKS}


def _steps(make: Callable[[], nn.Module], shape: tuple[int, ...], number: int = 8) -> dict:
    batch = torch.rand(shape)

    def train(network: nn.Module, optimizer, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            optimizer.zero_grad()
            network(batch).float().pow(2).mean().backward()
            optimizer.step()
        return (time.perf_counter() - began) / count

    plain, wrapped = make(), make()
    L1NormPruner(wrapped, config(wrapped, sparse_ratio=SPARSITY)).compress()
    ours = {one: FusedAdam(one.parameters(), 1e-5) for one in (plain, wrapped)}

    def stressed(**settings) -> Callable[[], float]:
        network, taken = make(), []

        def training(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
            train(model, optimizer, 1)
            taken.append(train(model, optimizer, max_steps - 1))

        def run() -> float:
            mine = copy.deepcopy(network)
            evaluator = TorchEvaluator(training, nni.trace(FusedAdam)(mine.parameters(), lr=1e-5), lambda b, m: m(b).mean())
            StressPruner(mine, config(mine, sparse_ratio=SPARSITY), evaluator, number + 1, **settings).compress()
            return taken[-1]

        return run

    for one in ours:
        train(one, ours[one], 2)
    return turns({"plain": lambda: train(plain, ours[plain], number), "L1NormPruner": lambda: train(wrapped, ours[wrapped], number),
                  "nested silence": stressed(stressor="nested_silence", stress_onset=0.0),
                  "level unchanged": stressed(stressor="attenuate", stress_onset=0.0, stress_ramp=0.0)}, 5)


# 2. Synthesis

def synthesis() -> dict:
    """Compression and speedup: by NNI alone, by us, by Torch-Pruning; and how much memory it takes at its peak."""
    return {name: _synthesis(*NETWORKS[name]) for name in ("ResNet-18", "YOLOv2 128")}


@contextlib.contextmanager
def as_nni_has_it():
    """NNI's own code in place of our faster mends; those without which it does not run at all stay."""
    mended = [(module, name, getattr(module, name)) for module, name in
              ((model_speedup, "sparsity_stats"), (mask_conflict, "detect_mask_prune_dim"))]
    for module, name, function in mended:
        setattr(module, name, function.__wrapped__)
    try:
        yield
    finally:
        for module, name, function in mended:
            setattr(module, name, function)


def _synthesis(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict:
    network, inputs = make().eval(), torch.rand(1, *shape[1:])

    def nnis() -> float:
        mine = copy.deepcopy(network)
        began = time.perf_counter()
        pruner = L1NormPruner(mine, config(mine, sparse_ratio=SPARSITY))
        _, masks = pruner.compress()
        pruner.unwrap_model()
        with as_nni_has_it():
            ModelSpeedup(mine, inputs, masks).speedup_model()
        return time.perf_counter() - began

    def ours(**how) -> float:
        mine = copy.deepcopy(network)
        began = time.perf_counter()
        pruner = StressPruner(mine, config(mine, **({} if how else dict(sparse_ratio=SPARSITY))), temperature=0.0, **how)
        pruner.compress()
        pruner.synthesize(inputs)
        return time.perf_counter() - began

    def torch_prunings() -> float:
        import torch_pruning

        mine = copy.deepcopy(network)
        last = [module for module in mine.modules() if isinstance(module, (nn.Conv2d, nn.Linear))][-1]
        began = time.perf_counter()
        torch_pruning.pruner.MagnitudePruner(mine, inputs, importance=torch_pruning.importance.MagnitudeImportance(p=1),
                                             pruning_ratio=SPARSITY, ignored_layers=[last]).step()
        return time.perf_counter() - began

    variants = {"L1NormPruner and ModelSpeedup": nnis, "StressPruner": ours,
                "StressPruner, shared budget": lambda: ours(budget={"parameters": SPARSITY}, example_input=inputs)}
    if importlib.util.find_spec("torch_pruning"):
        variants["Torch-Pruning"] = torch_prunings
    peak, size = peak_memory(ours), cost.synapses(network) * 4
    return {**turns(variants, 3), "memory": dict(peak_megabytes=round(peak / 2 ** 20), networks=round(peak / size, 2))}


def peak_memory(run: Callable[[], object]) -> int:
    """By how many bytes the memory of this process grows at most while something runs."""
    process, before, over, peak = psutil.Process(), psutil.Process().memory_info().rss, threading.Event(), [0]

    def watch() -> None:
        while not over.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    return peak[0]


# 6. Growth

def growth() -> dict:
    """Synthesis as networks get wider and deeper: seconds and memory for each million of parameters."""
    found = {}
    for width in (0.25, 0.5, 1.0, 1.5):
        found[f"YOLOv2, width {width:g}"] = _growth(lambda: yolov2(10, width), (1, 3, 128, 128))
    for depth in (18, 34):
        found[f"ResNet-{depth}"] = _growth(lambda: getattr(models, f"resnet{depth}")(num_classes=10), (1, 3, 64, 64))
    return found


def _growth(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> dict:
    network, inputs, taken = make().eval(), torch.rand(shape), []

    def run() -> None:
        mine = copy.deepcopy(network)
        began = time.perf_counter()
        pruner = StressPruner(mine, config(mine), temperature=0.0, budget={"parameters": SPARSITY}, example_input=inputs)
        pruner.compress()
        pruner.synthesize(inputs)
        taken.append(time.perf_counter() - began)

    peak = peak_memory(run)
    run()
    millions = cost.synapses(network) / 1e6
    return dict(million_parameters=round(millions, 2), seconds=round(min(taken), 2), seconds_a_million=round(min(taken) / millions, 3),
                peak_megabytes=round(peak / 2 ** 20), networks=round(peak / (4e6 * millions), 2))


PARTS = {"steps": steps, "synthesis": synthesis, "growth": growth}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}, but got {unknown[0]!r}")
    torch.set_num_threads(options.threads)
    found = read_json(RESULT) if RESULT.exists() else {}
    for part in options.parts or PARTS:
        found[part] = PARTS[part]()
        found["environment"] = dict(torch=torch.__version__, python=platform.python_version(), cores=os.cpu_count(), threads=options.threads)
        write_json(RESULT, found)
        for name, figures in found[part].items():
            print(f"{part}: {name}: {figures}", flush=True)


if __name__ == "__main__":
    main()
