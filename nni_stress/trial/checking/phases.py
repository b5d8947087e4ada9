"""Steps that make an offspring as a trial does, but with few steps of training."""

from __future__ import annotations

import importlib.util
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...graph import serialization
from ...graph.following.structure import OUTPUT
from ...utils.module_copies import copy_of
from ..compression import compress
from ..errors import InputError
from ..fields import wrong_names
from ..founding import check_removable
from ..measurement import resource_share
from ..training import Training, founder_training
from .estimate import estimate
from .work import STEPS, Work, expecting

_CANDIDATES = 4  # judged to see how long one takes
_OVER = 1.02  # a budget counts as kept up to this


def training(work: Work) -> str:
    """The first steps of the founder's training."""
    made = copy_of(work.network)
    with expecting("Task.optimizer must make an optimizer of (parameters, lr=...)"):
        steps = founder_training(made, work.task, seed=0)
    task = work.task
    loss, work.measured.founder = _train(
        steps, f"Task.founder_learning_rate={task.founder_learning_rate:g}"
    )
    work.measured.founder = (
        work.measured.founder
        or _train(
            Training(made, task, STEPS / work.batches, task.founder_learning_rate, seed=0), "it"
        )[1]
    )
    return "none, as Task.founder_epochs is 0" if loss is None else f"loss {loss:.4g}"


def _train(steps: Training, of: str) -> tuple[float | None, float]:
    """Take the first steps; returns the last loss, and the seconds of a step but the first."""
    loss = None
    taken = []
    began = time.perf_counter()
    try:
        for loss in steps:  # noqa: B007, the last one is used
            taken.append(time.perf_counter() - began)
            if len(taken) == STEPS:
                break
            began = time.perf_counter()
    except FloatingPointError as error:
        raise InputError(f"training with {of}: {error} after {len(taken)} steps") from error
    return loss, sum(taken[1:] or taken) / max(len(taken[1:]), 1)


def clusters(work: Work) -> str:
    """The names in Task.clusters."""
    for fault in wrong_names(work.task.clusters, work.network):
        work.fault(fault)
    return ", ".join(f"{name} {value}" for name, value in work.task.clusters.items())


def removable(work: Work) -> str:
    """What of the network can be removed."""
    began = time.perf_counter()
    from ...pruning.inspection import inspect
    from ...pruning.pruner import StressPruner  # noqa: F401  as every trial does

    work.imported = time.perf_counter() - began
    with expecting("Task.clusters must select layers of a network that can be followed"):
        try:
            check_removable(work.network, work.task)
        except InputError as error:
            raise InputError(f"Task.network with Task.clusters: {error}") from error
        found = inspect(work.network, work.task.example_input, [work.task.clusters])
    outputs = [layer.name for layer in found.layers if OUTPUT in layer.reason]
    named = work.task.clusters.get("op_names") or ()
    for name in outputs:
        if name in named:
            work.warn(
                f"Task.clusters names {name!r}, whose outputs are those of the network: they stay; "
                "leave it out"
            )
    _check_limits(work, found.least_parameters / found.parameters, found.least_macs / found.macs)
    free = sum(layer.prunable > 0 for layer in found.layers)
    stays = f"; outputs of {', '.join(outputs)} stay" if outputs else ""
    return f"clusters of {free} of {len(found.layers)} layers{stays}"


def _check_limits(work: Work, parameters: float, macs: float) -> None:
    """Compare what is to be reached in the end with the least that any offspring can be."""
    arguments = work.plan.arguments
    least = {"parameters": parameters, "macs": macs}
    target = arguments.target_efficiency
    share = least.get(arguments.resource)
    if target is not None and share is not None and 1 / target < share:
        work.fault(
            f"target_efficiency must be at most {1 / share:.4g}, as at least {share:.2%} of "
            f"{arguments.resource} stay, but is {target:g}"
        )
    for name, limit in (arguments.constraints or {}).items():
        if name in least and limit < least[name]:
            work.fault(
                f"constraints: {name} must be at least {least[name]:.4g}, the share that stays in "
                f"any case, but is {limit:g}"
            )


def synthesis(work: Work) -> str:
    """The smallest offspring of the first generation, drawn without stress, and synthesized."""
    arguments = replace(work.plan.strongest, stress_epochs=0.0, strength="magnitude", candidates=1)
    factor, saved = arguments.environmental_factor, work.plan.resource
    began = time.perf_counter()
    with expecting("the smallest offspring must be synthesized"):
        pruner = compress(copy_of(work.network), work.task, arguments, 0, {saved: factor})
        work.small = pruner.synthesize(work.task.example_input)
    work.measured.synthesis = time.perf_counter() - began
    share = resource_share(work.small, work.network, work.task, saved)
    if share > _OVER * factor:
        raise InputError(
            f"environmental_factor must leave what must stay, but {factor:.3g} of {saved} "
            f"cannot be kept to: {pruner.missed}"
        )
    return f"an offspring with {share:.1%} of the founder's {saved}"


def stress(work: Work) -> str:
    """The first steps under stress, and the offspring that is synthesized then."""
    arguments = work.plan.typical
    judged = work.screened and work.plan.mean("candidates") > 1
    few = replace(
        arguments,
        stress_epochs=STEPS / work.batches,
        candidates=_CANDIDATES if judged else 1,
    )
    seconds = [0.0]

    @contextmanager
    def timed() -> Iterator[None]:
        before = time.perf_counter()
        yield
        seconds[0] = time.perf_counter() - before

    began = time.perf_counter()
    budget = {work.plan.resource: few.environmental_factor}
    with expecting(f"training under stress with learning_rate={few.learning_rate:.3g} must go on"):
        pruner = compress(copy_of(work.network), work.task, few, 0, budget, timed)
        work.small = pruner.synthesize(work.task.example_input)
    whole = time.perf_counter() - began
    work.measured.stress = seconds[0] / STEPS
    if judged:
        rest = whole - seconds[0] - work.measured.synthesis
        work.measured.candidate = max(rest, 0.0) / _CANDIDATES
    return f"{STEPS} steps of {few.stressor}, and an offspring"


def recovery(work: Work) -> str:
    """The first steps of an offspring's training."""
    rate = work.plan.typical.learning_rate
    steps = Training(copy_of(work.small), work.task, STEPS / work.batches, rate, seed=0)
    loss, work.measured.recovery = _train(steps, f"learning_rate={rate:.3g}")
    return f"loss {loss:.4g}"


def file(work: Work) -> str:
    """An offspring's file, and the network that is read from it."""
    work.measured.memory_bytes = _peak_memory(work.network)  # before ONNX, which takes more
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.safetensors"
        serialization.save(work.network, path)
        work.measured.network_bytes = path.stat().st_size
        serialization.save(work.small, path)
        work.measured.offspring_bytes = path.stat().st_size
        with expecting("Task.network must make the same network at each call"):
            serialization.load(path, work.task.network)
    return "an offspring is written and read again"


def onnx(work: Work) -> str:
    """The ONNX file of an offspring, where the packages for it are installed."""
    missing = [name for name in ("onnxscript", "onnxruntime") if not _is_installed(name)]
    if missing:
        return f"not checked, as {missing[0]} is not installed"
    from ...graph.onnx import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        try:
            with expecting("ONNX: the network must be exported"):
                export_onnx(work.small, Path(folder) / "small.onnx", work.task.example_input)
        except InputError as error:  # an evolution does without
            work.warn(str(error))
            return "no ONNX file can be written"
    return "ONNX Runtime agrees with an offspring"


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def cost(work: Work) -> str:
    """What an evolution will cost."""
    if work.measured.start:
        work.measured.start += work.imported
    read = work.founder is not None and work.founder.exists()
    work.estimate = estimate(
        work.plan,
        work.measured,
        0.0 if read else work.task.founder_epochs,
        work.batches,
        any(isinstance(module, _BatchNorm) for module in work.network.modules()),
    )
    return str(work.estimate)


def _peak_memory(network: nn.Module) -> int:
    device = next(network.parameters()).device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts kilobytes
