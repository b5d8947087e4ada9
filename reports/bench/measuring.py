"""How benchmarks measure: networks, variants that take turns, and peak memory."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from nni_stress.trials.models import alexnet, lenet5, yolov2
from torch import nn
from torchvision import models

from ..meter import Meter

# {name: (what makes the network, shape of its input)}
Networks = dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]
NETWORKS: Networks = {
    "LeNet-5": (lenet5, (128, 1, 28, 28)),
    "AlexNet 64": (lambda: alexnet(10), (32, 3, 64, 64)),
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (16, 3, 64, 64)),
    "YOLOv2 128": (lambda: yolov2(10), (8, 3, 128, 128)),
}
GROWING: Networks = {
    **{
        f"YOLOv2, width {width:g}": (functools.partial(yolov2, 10, width), (1, 3, 128, 128))
        for width in (0.25, 0.5, 1.0, 1.5)
    },
    "ResNet-18": (lambda: models.resnet18(num_classes=10), (1, 3, 64, 64)),
    "ResNet-34": (lambda: models.resnet34(num_classes=10), (1, 3, 64, 64)),
}
PRUNABLE = {"op_types": ["Conv2d", "Linear"]}
SPARSITY = 0.5


def config(network: nn.Module, **settings: Any) -> list[dict[str, Any]]:
    """Return NNI's config of all convolution and linear layers but the last.

    Examples
    --------
    >>> config(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), sparse_ratio=0.5)
    [{'op_types': ['Conv2d', 'Linear'], 'exclude_op_names': ['1'], 'sparse_ratio': 0.5}]
    """
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    return [{**PRUNABLE, "exclude_op_names": [layers[-1]], **settings}]


def turns(variants: Mapping[str, Callable[[], float]], number: int) -> dict[str, dict[str, float]]:
    """Run variants in turns.

    Parameters
    ----------
    variants
        {name: function that returns its seconds}.
    number
        How many turns.

    Returns
    -------
    dict
        {name: {"seconds": median, "ratio": median of the ratios to the first variant}}.

    Examples
    --------
    >>> turns({"slow": lambda: 2.0, "fast": lambda: 1.0}, 1)["fast"]
    {'seconds': 1.0, 'ratio': 0.5}
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(number):
        for name, run in variants.items():
            gc.collect()
            seconds[name].append(run())
    first = seconds[next(iter(variants))]
    return {
        name: {
            "seconds": round(statistics.median(own), 5),
            "ratio": round(statistics.median(a / b for a, b in zip(own, first)), 3),
        }
        for name, own in seconds.items()
    }


def peak_memory(prepare: Callable[..., Any], name: str, *arguments: Any) -> float:
    """Measure peak memory in a process of its own.

    Parameters
    ----------
    prepare
        A function at module level; of the name of a network and the arguments, returns the network
        and a function to run.
    name, arguments
        What it is called with.

    Returns
    -------
    float
        Growth of the process while the function runs, in sizes of the network.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_peak, prepare, name, *arguments).result()


def _peak(prepare: Callable[..., Any], name: str, *arguments: Any) -> float:
    torch.set_num_threads(1)
    # What is imported and allocated once does not count.
    prepare("LeNet-5", *arguments)[1]()
    network, run = prepare(name, *arguments)
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    del network
    meter = Meter(pause=0.002)
    with meter:
        run()
    return round(meter.growth / size, 2)
