"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""
from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterable

import nni
import torch
from torch import nn

from . import cost, latency, networks, receiving
from .arguments import Arguments
from .batches import answer, arguments_of
from .evolution import seed_of
from .lineage import FOUNDER, Lineage, Record
from .screening import Screen

# Of the stress phase: its learning rate rises for this share, while importance is gathered in calm, and falls to that share.
WARM_UP, COOL_DOWN = 0.1, 0.1

Batches = Iterable[tuple[Any, Any]]


@dataclass(frozen=True)
class Task:
    """What is to be evolved: the network, its data, and what counts as good.

    Parameters
    ----------
    network
        Makes the founder's network, untrained.
    example_input
        One batch of inputs, of any size: a tensor, or a tuple of tensors for a network that takes several.
    loader
        Makes the training batches (inputs, targets) of one epoch from a generator that shuffles them; has a length. Inputs
        are like the example; targets are whatever the loss takes: tensors, lists of mappings, ...
    loss
        Loss of (outputs, targets), a scalar.
    fidelity
        Fidelity of (network, split), split one of "validation" and "test"; higher is better.
    founder_epochs, founder_learning_rate
        Training of the founder.
    clusters
        NNI's config for the layers that may lose clusters, without the sparsity. What reaches the output stays anyway.
    screening
        One batch of validation (inputs, targets), of some hundred examples, on which candidates are judged.
    optimizer
        Makes an optimizer of (parameters, learning rate).
    """

    network: Callable[[], nn.Module]
    example_input: torch.Tensor | tuple[torch.Tensor, ...]
    loader: Callable[[torch.Generator], Batches]
    loss: Callable[[Any, Any], torch.Tensor]
    fidelity: Callable[[nn.Module, str], float]
    founder_epochs: int
    founder_learning_rate: float
    clusters: dict = field(default_factory=lambda: {"op_types": ["Conv2d", "Linear"]})
    optimizer: Callable = torch.optim.Adam
    screening: tuple[Any, Any] | None = None


class InputError(ValueError):
    """Something every offspring needs is wrong: the data, the founder. No other trial would fare better."""


def train(network: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int,
          after_epoch: Callable[[int], None] | None = None) -> None:
    """Train for `epochs` (a fraction is allowed), the learning rate falling to 0 along a cosine.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite.
    """
    torch.manual_seed(seed)  # dropout and the like draw from the global generator
    optimizer = task.optimizer(network.parameters(), lr=learning_rate)
    batches = _endless(task, seed)
    steps = round(epochs * len(task.loader(torch.Generator())))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    per_epoch = max(1, round(steps / max(epochs, 1)))
    network.train()
    for step in range(1, steps + 1):
        _optimize(network, optimizer, task.loss, next(batches))
        schedule.step()
        if after_epoch and (step % per_epoch == 0 or step == steps):
            after_epoch(math.ceil(step / per_epoch))
            network.train()


def _endless(task: Task, seed: int) -> Batches:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from task.loader(generator)


def _optimize(network, optimizer, loss_function, batch):
    inputs, targets = batch
    optimizer.zero_grad()
    loss = loss_function(answer(network, inputs), targets)
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the training loss became {loss.item()}")
    loss.backward()
    optimizer.step()


def stress_and_synthesize(ancestor: nn.Module, task: Task, arguments: Arguments, seed: int,
                          resource: str = "parameters") -> nn.Module:
    """Train the ancestor under stress, draw the offspring's clusters, and build the physically small offspring.

    The environmental factor is a share of the `resource` that the ancestor uses.
    """
    from .pruner import StressPruner  # seconds to import; the founder's trial needs none of it

    torch.manual_seed(seed)
    evaluator, steps = stress_evaluator(ancestor, task, arguments.stress_epochs, arguments.learning_rate, seed)
    if arguments.candidates > 1 and task.screening is None:
        raise ValueError(f"candidates={arguments.candidates} needs Task.screening, a batch to judge them on, but got none")
    screen = Screen(*task.screening, task.loss) if arguments.candidates > 1 else None
    pruner = StressPruner(ancestor, [task.clusters], evaluator, steps or None, seed=seed,
                          budget={resource: arguments.environmental_factor}, example_input=task.example_input,
                          candidates=int(arguments.candidates), screen=screen, floor=int(arguments.floor),
                          multiple=int(arguments.multiple), worth=(arguments.early_worth, arguments.late_worth),
                          **arguments.for_pruner())
    pruner.compress()
    ancestor.eval()
    return pruner.synthesize(task.example_input)


def stress_evaluator(ancestor: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int):
    """NNI's evaluator that trains the ancestor for `epochs`, None where that is nothing, and how many steps these are."""
    from nni.compression.utils.evaluator import TorchEvaluator

    steps, batches = round(epochs * len(task.loader(torch.Generator()))), _endless(task, seed)

    def training_func(model, optimizer, training_step, lr_schedulers, max_steps, max_epochs):
        model.train()
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _stressed_rate(step / max_steps))
        for _ in range(max_steps):
            _optimize(model, optimizer, task.loss, next(batches))
            schedule.step()

    if not steps:
        return None, 0
    optimizer = nni.trace(task.optimizer)(ancestor.parameters(), lr=learning_rate)
    return TorchEvaluator(training_func, optimizer, lambda batch, model: task.loss(answer(model, batch[0]), batch[1])), steps


def _stressed_rate(progress: float) -> float:
    """Share of the learning rate: a linear warm-up, then half a cosine."""
    if progress < WARM_UP:
        return max(0.01, progress / WARM_UP)
    return COOL_DOWN + (1 - COOL_DOWN) * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2


def run_trial(make_task: Callable[[], Task], founder: str | Path | None = None) -> None:
    """Be one trial of an evolution: receive an offspring, make it, record it, and report it to NNI.

    Parameters
    ----------
    make_task
        Makes the task; its errors (say, a data folder that does not exist) end the experiment with their message.
    founder
        A network file: the founder is read from it, or trained and saved there where it does not exist.
    """
    parameters, lineage = receiving.receive()
    uid = parameters["uid"]
    try:
        with _fatal():
            task = make_task()
        record = (make_founder(task, parameters, lineage, founder) if uid == FOUNDER
                  else make_offspring(task, parameters, lineage))
    except Exception as error:
        logging.getLogger(__name__).exception("offspring %s was lost", uid)
        lineage.add_failure(uid, _one_line(error), fatal=isinstance(error, InputError))
        raise SystemExit(1) from None
    nni.report_final_result({"default": record.validation, "uid": uid, "efficiency": record.efficiency,
                             "synapses": record.synapses, "macs": record.macs})


@contextmanager
def _fatal():
    try:
        yield
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def make_founder(task: Task, parameters: dict, lineage: Lineage, file: str | Path | None) -> Record:
    """Generation 0: the founder, read from its file or trained."""
    started, seed = time.perf_counter(), seed_of(parameters["seed"], FOUNDER)
    torch.manual_seed(seed)
    if file is not None and Path(file).exists():
        with _fatal():
            network = networks.load(file, task.network)
    else:
        network = task.network()
        train(network, task, task.founder_epochs, task.founder_learning_rate, seed,
              lambda _: nni.report_intermediate_result(task.fidelity(network, "validation")))
        if file is not None:
            networks.save(network, file)
    return _judge(network, task, parameters, lineage, None, {"training": time.perf_counter() - started})


def make_offspring(task: Task, parameters: dict, lineage: Lineage) -> Record:
    """One generation of one offspring, from its ancestor's file to its own record."""
    arguments = Arguments.from_mapping(parameters["arguments"])
    seed = seed_of(parameters["seed"], parameters["uid"])
    with _fatal():
        ancestor = networks.load(lineage.network_path(parameters["ancestor"]), task.network)
    clock = time.perf_counter()
    network = stress_and_synthesize(ancestor, task, arguments, seed_of(seed, "stress"), parameters["resource"])
    seconds = {"stress": time.perf_counter() - clock}
    untrained = task.fidelity(network, "validation")
    nni.report_intermediate_result(untrained)
    clock = time.perf_counter()
    train(network, task, arguments.recovery_epochs, arguments.learning_rate, seed_of(seed, "recovery"),
          lambda _: nni.report_intermediate_result(task.fidelity(network, "validation")))
    seconds["recovery"] = time.perf_counter() - clock
    return _judge(network, task, parameters, lineage, untrained, seconds)


def _judge(network, task, parameters, lineage, untrained, seconds) -> Record:
    validation, test = task.fidelity(network, "validation"), task.fidelity(network, "test")
    if not (math.isfinite(validation) and math.isfinite(test)):
        raise FloatingPointError(f"fidelity must be finite, but got {validation} (validation) and {test} (test)")
    synapses = cost.synapses(network)
    founder, share = lineage.record(FOUNDER), None
    if parameters["latency"] and founder:
        first = networks.load(lineage.network_path(FOUNDER), task.network)
        share = latency.ratio(network, first, arguments_of(task.example_input))
    record = Record(
        uid=parameters["uid"], generation=parameters["generation"], ancestor=parameters["ancestor"],
        other=parameters["other"], latency=share,
        arguments=parameters["arguments"], validation=validation, test=test, synapses=synapses,
        macs=cost.macs(network, task.example_input), efficiency=founder.synapses / synapses if founder else 1.0,
        untrained=untrained, architecture=cost.architecture(network),
        seconds={phase: round(value, 3) for phase, value in seconds.items()})
    return lineage.add(record, lambda path: networks.save(network, path))
