"""How long it takes to make a network physically small, and how that grows with the network."""
from __future__ import annotations

import contextlib
import copy
import importlib.util
import time
from typing import Callable

import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup, mask_conflict, model_speedup
from torch import nn
from torchvision import models

from nni_stress import StressPruner, cost
from trials.models import yolov2

from .measuring import NETWORKS, SPARSITY, config, peak_memory, turns


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
