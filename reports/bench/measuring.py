"""What is measured, and how: networks, variants that take turns, memory at its peak."""
from __future__ import annotations

import gc
import statistics
import threading
import time
from typing import Callable, Mapping

import psutil
from torch import nn
from torchvision import models

from trials.models import alexnet, lenet5, yolov2

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
