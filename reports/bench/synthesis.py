"""Time and memory of making a network physically small, also as networks grow."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup, mask_conflict, model_speedup
from torch import Tensor, nn

from nni_stress import StressPruner
from nni_stress.graph import cost

from .measuring import GROWING, NETWORKS, SPARSITY, config, peak_memory, turns

Synthesize = Callable[[nn.Module, Tensor], None]

_TIME_LIMIT = 120  # seconds for another library; ours takes about two
# Functions of NNI of which this package has a faster version.
_PATCHED = ((model_speedup, "sparsity_stats"), (mask_conflict, "detect_mask_prune_dim"))


def synthesis() -> dict[str, Any]:
    """Measure pruning and speed-up by NNI alone, by this package and by Torch-Pruning.

    With the peak memory of each.
    """
    return {name: _compare(name) for name in ("ResNet-18", "YOLOv2 128")}


@contextlib.contextmanager
def without_fast_patches() -> Iterator[None]:
    """Use NNI's own functions where this package only makes them faster.

    Patches without which NNI does not run at all stay.
    """
    patched = [(module, name, getattr(module, name)) for module, name in _PATCHED]
    for module, name, function in patched:
        setattr(module, name, function.__wrapped__)
    try:
        yield
    finally:
        for module, name, function in patched:
            setattr(module, name, function)


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in code that takes longer; in the main thread only."""

    def expire(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _by_nni(network: nn.Module, inputs: Tensor) -> None:
    pruner = L1NormPruner(network, config(network, sparse_ratio=SPARSITY))
    _, masks = pruner.compress()
    pruner.unwrap_model()
    with without_fast_patches():
        ModelSpeedup(network, inputs, masks).speedup_model()


def _by_ratio(network: nn.Module, inputs: Tensor) -> None:
    pruner = StressPruner(network, config(network, sparse_ratio=SPARSITY), temperature=0.0)
    pruner.compress()
    pruner.synthesize(inputs)


def _by_budget(network: nn.Module, inputs: Tensor) -> None:
    pruner = StressPruner(
        network,
        config(network),
        temperature=0.0,
        budget={"parameters": SPARSITY},
        example_input=inputs,
    )
    pruner.compress()
    pruner.synthesize(inputs)


def _by_torch_pruning(network: nn.Module, inputs: Tensor) -> None:
    import torch_pruning

    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    torch_pruning.pruner.MagnitudePruner(
        network,
        inputs,
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=SPARSITY,
        ignored_layers=[layers[-1]],
    ).step()


def _prepare(name: str, synthesize: Synthesize) -> tuple[nn.Module, Callable[[], None]]:
    """Return a network, and a function that makes it small."""
    make, shape = {**NETWORKS, **GROWING}[name]
    network, inputs = make().eval(), torch.rand(1, *shape[1:])
    with torch.no_grad():
        network(inputs)
    return network, lambda: synthesize(network, inputs)


def _timed(name: str, synthesize: Synthesize) -> Callable[[], float]:
    def timed() -> float:
        _, run = _prepare(name, synthesize)
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return timed


def _compare(name: str) -> dict[str, Any]:
    variants = {
        "L1NormPruner and ModelSpeedup": _by_nni,
        "StressPruner": _by_ratio,
        "StressPruner, shared budget": _by_budget,
    }
    memory = {
        f"{variant}, memory": {"networks": peak_memory(_prepare, name, run)}
        for variant, run in variants.items()
    }
    late = {}
    if importlib.util.find_spec("torch_pruning"):
        try:
            with time_limit(_TIME_LIMIT):
                _timed(name, _by_torch_pruning)()
            variants["Torch-Pruning"] = _by_torch_pruning
        except TimeoutError as error:
            late["Torch-Pruning"] = str(error)
    seconds = turns({variant: _timed(name, run) for variant, run in variants.items()}, 3)
    return {**seconds, **late, **memory}


def growth() -> dict[str, Any]:
    """Measure synthesis as networks get wider and deeper: seconds a million parameters, memory."""
    return {name: _growth(name) for name in GROWING}


def _growth(name: str) -> dict[str, float]:
    run = _timed(name, _by_budget)
    millions = cost.synapses(GROWING[name][0]()) / 1e6
    seconds = min(run() for _ in range(3))
    return {
        "million_parameters": round(millions, 2),
        "seconds": round(seconds, 2),
        "seconds_a_million": round(seconds / millions, 3),
        "networks": peak_memory(_prepare, name, _by_budget),
    }
