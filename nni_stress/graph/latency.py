"""Measured latency: of a network relative to another, and of layers of any size."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator
from torch import nn

from ..utils.module_modes import evaluating
from .cluster_graph import ClusterGraph
from .resizing import depthwise, is_resizable, resize

# Sizes of a layer are measured in passes, and the least time counts: what disturbs a few
# milliseconds of one pass would else make a small layer seem as slow as the largest.
PASSES = 2
LAYER_SECONDS = 0.002  # least duration of a measurement in a pass


@torch.inference_mode()
def turns(
    runs: Sequence[Callable[[], object]],
    seconds: float = 1.0,
    clock: Callable[[], float] | None = None,
) -> NDArray[np.float64]:
    """Measure what is compared in turns, so that other load on the machine slows down all alike.

    Parameters
    ----------
    runs
        What to measure.
    seconds
        Least duration of the measurement; it takes at least nine turns.
    clock
        Measures a run; None: the time that passes. `time.thread_time` does not count what other
        processes take of the processor; it is for what runs on one thread of the CPU.

    Returns
    -------
    numpy.ndarray
        Seconds of each run (columns) in each turn (rows).

    Examples
    --------
    >>> turns([lambda: None, lambda: None], seconds=0).shape
    (9, 2)
    """
    for _ in range(3):
        for run in runs:
            run()
    began = time.perf_counter()
    found: list[list[float]] = []
    while len(found) < 9 or time.perf_counter() - began < seconds:
        found.append([_time(run, clock or time.perf_counter) for run in runs])
    return np.array(found)


def ratio(
    network: nn.Module, reference: nn.Module, inputs: Sequence[Any], seconds: float = 1.0
) -> float:
    """Latency of a network as a share of a reference network's.

    The two run in turns, and the median of the ratios is taken.

    Parameters
    ----------
    network, reference
        The networks, measured in evaluation mode on the device they are on.
    inputs
        Arguments of both networks: one batch.
    seconds
        Least duration of the measurement; it takes at least nine turns.

    Returns
    -------
    float
        The median ratio.

    Examples
    --------
    >>> network = nn.Linear(8, 8)
    >>> ratio(network, network, (torch.rand(1, 8),), seconds=0.01) > 0
    True
    """
    with evaluating(network), evaluating(reference):
        times = turns([lambda: network(*inputs), lambda: reference(*inputs)], seconds)
    return float(np.median(times[:, 0] / times[:, 1]))


def _time(run: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one run."""
    began = clock()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - began


def layer_latencies(
    graph: ClusterGraph, network: nn.Module
) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Latency of each layer for any number of clusters kept.

    Each layer is measured by itself at up to five numbers of inputs and of outputs, and
    interpolated between them. The time spent between layers is not counted. The sum ranks clusters
    by the time they take; it does not predict the latency of the network.

    Parameters
    ----------
    graph
        Cluster groups of the network.
    network
        The network, whose layers are measured on the device they are on.

    Returns
    -------
    callable
        Seconds of each layer, given the number of clusters (output channels or neurons) that each
        group keeps, or an array of numbers for each group.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> seconds = layer_latencies(graph, network)
    >>> [0 < seconds([1])[layer] <= seconds([8])[layer] for layer in ("0", "2")]
    [True, True]
    """
    full = graph.channels([group.clusters for group in graph.groups])
    least = graph.channels([group.blocks for group in graph.groups])
    tables = {
        name: _table(network.get_submodule(name), shape, least[name], full[name])
        for name, shape in graph.input_shapes().items()
        if shape is not None and is_resizable(network.get_submodule(name))
    }

    @lru_cache(None)
    def seconds(name: str, inputs: int, outputs: int) -> float:
        return float(tables[name]((inputs, outputs)))

    def by_layer(keep: Sequence[Any]) -> dict[str, Any]:
        evaluate = seconds if all(np.ndim(count) == 0 for count in keep) else _evaluate
        return {
            name: evaluate(name, *channels)
            for name, channels in graph.channels(keep).items()
            if name in tables
        }

    def _evaluate(name: str, inputs: Any, outputs: Any) -> NDArray[np.float64]:
        found: NDArray[np.float64] = tables[name](
            np.stack(np.broadcast_arrays(inputs, outputs), -1)
        )
        return found

    return by_layer


def _table(
    module: nn.Module, shape: torch.Size, least: tuple[int, int], full: tuple[int, int]
) -> RegularGridInterpolator:
    """Measure a layer at several numbers of inputs and outputs, and interpolate between them."""
    tied = depthwise(module)  # it has as many inputs as outputs
    step = getattr(module, "groups", 1) if not tied else 1
    axes = [
        sorted({high, *(max(low, high * eighths // 8 // step * step) for eighths in (0, 1, 2, 4))})
        for low, high in zip(least, full)
    ]
    times = np.min([_layer_times(module, shape, axes, tied) for _ in range(PASSES)], axis=0)
    if tied:
        times = np.repeat(np.diagonal(times)[None], len(axes[0]), 0)
    for dimension in (0, 1):  # apart from noise, more clusters take no less time
        times = np.maximum.accumulate(times, dimension)
    for dimension, axis in enumerate(axes):
        if len(axis) == 1:  # an interpolation needs two points
            axes[dimension] = [*axis, axis[0] + 1]
            times = np.repeat(times, 2, dimension)
    return RegularGridInterpolator(axes, times, bounds_error=False, fill_value=None)


def _layer_times(
    module: nn.Module, shape: torch.Size, axes: list[list[int]], tied: bool
) -> NDArray[np.float64]:
    """Seconds of a layer at several numbers of inputs (rows) and outputs; NaN if it has no such."""
    times = np.full([len(axis) for axis in axes], np.nan)
    for (row, inputs), (column, outputs) in product(*map(enumerate, axes)):
        if not tied or row == column:
            times[row, column] = _layer_time(module, shape, inputs, outputs)
    return times


@torch.inference_mode()
def _layer_time(module: nn.Module, shape: torch.Size, inputs: int, outputs: int) -> float:
    """Seconds of a layer cut to these numbers of inputs and outputs, the least of several runs."""
    layer = copy.deepcopy(module).eval()
    resize(layer, inputs, outputs)
    weight = module.weight
    assert isinstance(weight, torch.Tensor)
    size = list(shape)
    size[-1 if isinstance(module, nn.Linear) else -(weight.dim() - 1)] = inputs
    batch = torch.rand(size, device=weight.device, dtype=weight.dtype)

    def run() -> object:
        return layer(batch)

    times = [_time(run, time.perf_counter) for _ in range(3)]
    while len(times) < 8 or sum(times) < LAYER_SECONDS:
        times.append(_time(run, time.perf_counter))
    return min(times[3:])
