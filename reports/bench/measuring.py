"""What is measured, and how: networks, variants that take turns, memory at its peak."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import statistics
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor

import psutil
import torch
from torch import nn
from torchvision import models

from trials.models import alexnet, lenet5, yolov2

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5": (lenet5, (128, 1, 28, 28)),
    "AlexNet 64": (lambda: alexnet(10), (32, 3, 64, 64)),
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (16, 3, 64, 64)),
    "YOLOv2 128": (lambda: yolov2(10), (8, 3, 128, 128)),
}
GROWING: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    **{
        f"YOLOv2, width {width:g}": (functools.partial(yolov2, 10, width), (1, 3, 128, 128))
        for width in (0.25, 0.5, 1.0, 1.5)
    },
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (1, 3, 64, 64)),
    "ResNet-34": (lambda: models.resnet34(num_classes=10), (1, 3, 64, 64)),
}
PRUNABLE = {"op_types": ["Conv2d", "Linear"]}
SPARSITY = 0.5


def config(network: nn.Module, **more) -> list[dict]:
    """All layers but the last."""
    last = [
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ][-1]
    return [{**PRUNABLE, "exclude_op_names": [last], **more}]


def turns(variants: Mapping[str, Callable[[], float]], number: int) -> dict[str, dict]:
    """Let variants take turns; each returns its seconds. Of each the median, and its median ratio to the first."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _turn in range(number):
        for name, run in variants.items():
            gc.collect()
            found[name].append(run())
    first = found[next(iter(variants))]
    return {
        name: {
            "seconds": round(statistics.median(taken), 5),
            "ratio": round(statistics.median(one / other for one, other in zip(taken, first)), 3),
        }
        for name, taken in found.items()
    }


def peak_memory(prepare: Callable[..., Callable[[], object]], name: str, *arguments) -> float:
    """By how many times a network's size the memory of a fresh process grows at most while what is prepared for it runs.

    Parameters
    ----------
    prepare
        A function of a module; from the name of a network and the arguments to the network and what is to run.
    name, arguments
        What it is called with.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, prepare, name, *arguments).result()


def _peak(prepare, name, *arguments) -> float:
    torch.set_num_threads(1)
    prepare("LeNet-5", *arguments)[1]()  # what is imported and allocated once stays out of it
    network, run = prepare(name, *arguments)
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    del network
    process, before, over, peak = (
        psutil.Process(),
        psutil.Process().memory_info().rss,
        threading.Event(),
        [0],
    )

    def watch() -> None:
        while not over.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        over.set()
        watcher.join()
    return round(peak[0] / size, 2)
