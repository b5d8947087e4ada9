"""Measured latency: of a network beside another, and of layers of any size."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import nn

from ..utils.module_modes import evaluating
from .cluster_graph import ClusterGraph
from .label_propagation import depthwise
from .resizing import resize


@torch.inference_mode()
def ratio(
    network: nn.Module, reference: nn.Module, inputs: Sequence[Any], seconds: float = 1.0
) -> float:
    """Latency of a network as a share of a reference's.

    The two take turns, and the median of the turns' ratios counts: whatever else the machine does slows both alike.

    Parameters
    ----------
    network, reference
        Measured in evaluation mode, on the device they are on.
    inputs
        What both are called with: one batch.
    seconds
        For how long to measure, at least; nine turns are taken in any case.
    """
    with evaluating(network), evaluating(reference):
        for _ in range(3):
            _time(network, inputs), _time(reference, inputs)
        began, turns = time.perf_counter(), []
        while len(turns) < 9 or time.perf_counter() - began < seconds:
            turns.append(_time(network, inputs) / _time(reference, inputs))
    return statistics.median(turns)


def _time(network, inputs) -> float:
    began = time.perf_counter()
    network(*inputs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def layer_latency(graph: ClusterGraph, network: nn.Module) -> Callable[[Sequence[int]], float]:
    """Cost function: the summed latency of the layers, in seconds, for any number of survivors.

    Each layer is measured by itself at up to five numbers of inputs and of outputs, and interpolated between; what is
    between the layers is not counted. That is enough to say which cluster saves more time, not what a network takes.

    Parameters
    ----------
    graph
        The network's.
    network
        Its layers are measured, on the device they are on.

    Returns
    -------
    callable
        Of the list of survivors of each group, or of arrays of them for as many networks at once.
    """
    full = graph.channels([group.clusters for group in graph.groups])
    least = graph.channels(
        [group.blocks if not group.frozen else group.clusters for group in graph.groups]
    )
    tables = {
        name: _table(network.get_submodule(name), shape, least[name], full[name])
        for name, shape in graph.input_shapes().items()
    }

    @lru_cache(None)
    def seconds(name: str, channels: tuple[int, int]) -> float:
        return float(tables[name](channels))

    summed = np.vectorize(
        lambda *keep: sum(
            seconds(name, channels) for name, channels in graph.channels(keep).items()
        ),
        otypes=[float],
    )
    return lambda keep: summed(*keep)[()]


def _table(module, shape, least, full):
    """Latency of a layer over its numbers of inputs and outputs."""
    tied = depthwise(module)  # as many inputs as outputs
    step = getattr(module, "groups", 1) if not tied else 1
    axes = [
        sorted({high, *(max(low, high * eighths // 8 // step * step) for eighths in (0, 1, 2, 4))})
        for low, high in zip(least, full)
    ]
    times = np.zeros([len(axis) for axis in axes])
    for (i, inputs), (o, outputs) in product(*map(enumerate, axes)):
        times[i, o] = np.nan if tied and i != o else _of_layer(module, shape, inputs, outputs)
    if tied:
        times = np.repeat(np.diagonal(times)[None], len(axes[0]), 0)
    for axis in (0, 1):  # noise aside, more clusters take no less time
        times = np.maximum.accumulate(times, axis)
    flat = [len(axis) == 1 for axis in axes]
    axes = [[*axis, axis[0] + 1] if one else axis for axis, one in zip(axes, flat)]
    for axis, one in enumerate(flat):
        times = np.repeat(times, 2, axis) if one else times
    return RegularGridInterpolator(axes, times, bounds_error=False, fill_value=None)


@torch.inference_mode()
def _of_layer(module, shape, inputs, outputs) -> float:
    layer = copy.deepcopy(module).eval()
    resize(layer, inputs, outputs)
    shape = list(shape)
    shape[-1 if isinstance(module, nn.Linear) else -(module.weight.dim() - 1)] = inputs
    batch = torch.rand(shape, device=module.weight.device, dtype=module.weight.dtype)
    times = [_time(layer, (batch,)) for _ in range(3)]
    while len(times) < 8 or sum(times) < 0.004:
        times.append(_time(layer, (batch,)))
    return min(times[3:])
