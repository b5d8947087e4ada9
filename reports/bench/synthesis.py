"""How long it takes to make a network physically small, and how that grows with the network."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import time
from collections.abc import Callable

import torch
from nni.compression.pruning import L1NormPruner
from nni.compression.speedup import ModelSpeedup, mask_conflict, model_speedup
from torch import nn

from nni_stress import StressPruner
from nni_stress.graph import cost

from .measuring import GROWING, NETWORKS, SPARSITY, config, peak_memory, turns

_PATIENCE = 120  # seconds that another library may take for what takes us two


def synthesis() -> dict:
    """Compression and speedup: by NNI alone, by us, by Torch-Pruning; and how much memory it takes at its peak."""
    return {name: _synthesis(name) for name in ("ResNet-18", "YOLOv2 128")}


@contextlib.contextmanager
def as_nni_has_it():
    """NNI's own code in place of our faster mends; those without which it does not run at all stay."""
    mended = [
        (module, name, getattr(module, name))
        for module, name in (
            (model_speedup, "sparsity_stats"),
            (mask_conflict, "detect_mask_prune_dim"),
        )
    ]
    for module, name, function in mended:
        setattr(module, name, function.__wrapped__)
    try:
        yield
    finally:
        for module, name, function in mended:
            setattr(module, name, function)


@contextlib.contextmanager
def _at_most(seconds: int):
    """Raise TimeoutError in what takes longer."""

    def late(*_):
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _nnis(network: nn.Module, inputs: torch.Tensor) -> None:
    pruner = L1NormPruner(network, config(network, sparse_ratio=SPARSITY))
    _, masks = pruner.compress()
    pruner.unwrap_model()
    with as_nni_has_it():
        ModelSpeedup(network, inputs, masks).speedup_model()


def _ours(network: nn.Module, inputs: torch.Tensor) -> None:
    pruner = StressPruner(network, config(network, sparse_ratio=SPARSITY), temperature=0.0)
    pruner.compress()
    pruner.synthesize(inputs)


def _ours_of_a_budget(network: nn.Module, inputs: torch.Tensor) -> None:
    pruner = StressPruner(
        network,
        config(network),
        temperature=0.0,
        budget={"parameters": SPARSITY},
        example_input=inputs,
    )
    pruner.compress()
    pruner.synthesize(inputs)


def _torch_prunings(network: nn.Module, inputs: torch.Tensor) -> None:
    import torch_pruning

    last = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))][
        -1
    ]
    torch_pruning.pruner.MagnitudePruner(
        network,
        inputs,
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=SPARSITY,
        ignored_layers=[last],
    ).step()


def _prepared(
    name: str, synthesize: Callable[[nn.Module, torch.Tensor], None]
) -> tuple[nn.Module, Callable[[], None]]:
    make, shape = {**NETWORKS, **GROWING}[name]
    network, inputs = make().eval(), torch.rand(1, *shape[1:])
    with torch.no_grad():
        network(inputs)
    return network, lambda: synthesize(network, inputs)


def _timed(name: str, synthesize: Callable[[nn.Module, torch.Tensor], None]) -> Callable[[], float]:
    def timed() -> float:
        run = _prepared(name, synthesize)[1]
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return timed


def _synthesis(name: str) -> dict:
    variants = {
        "L1NormPruner and ModelSpeedup": _nnis,
        "StressPruner": _ours,
        "StressPruner, shared budget": _ours_of_a_budget,
    }
    late = {}
    memory = {
        f"{variant}, memory": {"networks": peak_memory(_prepared, name, run)}
        for variant, run in variants.items()
    }
    if importlib.util.find_spec("torch_pruning"):
        try:
            with _at_most(_PATIENCE):
                _timed(name, _torch_prunings)()
            variants["Torch-Pruning"] = _torch_prunings
        except TimeoutError as error:
            late["Torch-Pruning"] = str(error)
    return {
        **turns({variant: _timed(name, run) for variant, run in variants.items()}, 3),
        **late,
        **memory,
    }


def growth() -> dict:
    """Synthesis as networks get wider and deeper: seconds for each million of parameters, and memory."""
    return {name: _growth(name) for name in GROWING}


def _growth(name: str) -> dict:
    run = _timed(name, _ours_of_a_budget)
    millions, seconds = cost.synapses(GROWING[name][0]()) / 1e6, min(run() for _ in range(3))
    return {
        "million_parameters": round(millions, 2),
        "seconds": round(seconds, 2),
        "seconds_a_million": round(seconds / millions, 3),
        "networks": peak_memory(_prepared, name, _ours_of_a_budget),
    }
