"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""
from __future__ import annotations

import logging
import math
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable

import nni
import torch
from torch import nn

from . import cost, networks, receiving
from .arguments import Arguments
from .batches import arguments_of
from .evolution import seed_of
from .files import read_json, write_json
from .lineage import FOUNDER, Lineage, Record
from .prospects import SLACK
from .recovery import recover, spare, superseded
from .screening import Screen
from .stopwatch import Stopwatch
from .training import Task, Training, founder_training, stress_evaluator


class InputError(ValueError):
    """Something every offspring needs is wrong: the data, the founder. No other trial would fare better."""


def stress_and_synthesize(ancestor: nn.Module, task: Task, arguments: Arguments, seed: int,
                          resource: str = "parameters") -> nn.Module:
    """Train the ancestor under stress, draw the offspring's clusters, and build the physically small offspring.

    The environmental factor is a share of the `resource` that the ancestor uses.
    """
    budget = {resource: arguments.environmental_factor}
    return _compressed(ancestor, task, arguments, seed, budget, Stopwatch()).synthesize(task.example_input)


def _compressed(ancestor: nn.Module, task: Task, arguments: Arguments, seed: int, budget: dict, watch: Stopwatch):
    from .pruner import StressPruner  # seconds to import; the founder's trial needs none of it

    torch.manual_seed(seed)
    evaluator, steps = stress_evaluator(ancestor, task, arguments.stress_epochs, arguments.learning_rate, seed,
                                        lambda: watch("stress"))
    if arguments.candidates > 1 and task.screening is None:
        raise ValueError(f"candidates={arguments.candidates} needs Task.screening, a batch to judge them on, but got none")
    screen = Screen(*task.screening, task.loss) if arguments.candidates > 1 else None
    pruner = StressPruner(ancestor, [task.clusters], evaluator, steps or None, seed=seed, budget=budget,
                          example_input=task.example_input, candidates=int(arguments.candidates), screen=screen,
                          floor=int(arguments.floor), multiple=int(arguments.multiple),
                          worth=(arguments.early_worth, arguments.late_worth), redundancy=arguments.redundancy,
                          **arguments.for_pruner())
    pruner.compress()
    ancestor.eval()
    return pruner


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
    watch, seed = Stopwatch(), seed_of(parameters["seed"], FOUNDER)
    task = watch.evaluating(task)
    torch.manual_seed(seed)
    if file is not None and Path(file).exists():
        with _fatal():
            network = networks.load(file, task.network)
    else:
        network = task.network()
        with watch("training"):
            training = founder_training(network, task, seed)
            for _ in training:
                if training.between_epochs:
                    nni.report_intermediate_result(task.fidelity(network, "validation"))
        if file is not None:
            networks.save(network, file)
    origins = None
    if parameters["origins"]:
        from . import parents  # seconds to import, as all that follows networks
        origins = parents.founding(network, task.example_input)
    record = _described(network, task, parameters, lineage)
    return _add(record._replace(validation=task.fidelity(network, "validation")), network, task, lineage, watch, origins)


def make_offspring(task: Task, parameters: dict, lineage: Lineage) -> Record:
    """One generation of one offspring, from its ancestors' files to its own record."""
    from . import parents

    watch = Stopwatch()
    task = watch.evaluating(task)
    arguments = Arguments.from_mapping(parameters["arguments"])
    seed, peers = seed_of(parameters["seed"], parameters["uid"]), lineage if parameters.get("early_ending") else None
    with _fatal():
        ancestor, origins = _load(parameters["ancestor"], task, lineage, parameters["origins"])
        other = parameters["other"] and _load(parameters["other"], task, lineage, True)
    budget = {parameters["resource"]: arguments.environmental_factor, **parameters.get("constrained", {})}
    with watch("synthesis"):
        if other:
            founder, _ = _load(FOUNDER, task, lineage, False)
            one, (two, others) = ancestor, other
            ancestor, origins = parents.union(founder, task.example_input, one, origins, two, others)
            budget = {resource: min(1.0, share * sum(_used(network, ancestor, task, resource) for network in (one, two)) / 2)
                      for resource, share in budget.items()}
        forecast = peers and superseded(_expected(ancestor, task, parameters, lineage, budget), peers)
        if forecast is not None:  # nothing is trained that cannot survive
            arguments = replace(arguments, stress_epochs=0.0, strength="magnitude", candidates=1)
        pruner = _compressed(ancestor, task, arguments, seed_of(seed, "stress"), budget, watch)
        if origins is None:
            network = pruner.synthesize(task.example_input)
        else:
            network, origins = parents.synthesize(pruner, task.example_input, origins)
    record = _described(network, task, parameters, lineage)
    if forecast is not None:
        return _add(spare(record, network, task, forecast), network, task, lineage, watch, origins)
    with watch("recovery"):
        training = Training(network, task, arguments.recovery_epochs, arguments.learning_rate, seed_of(seed, "recovery"))
        record = recover(record, network, task, training, peers)
    return _add(record, network, task, lineage, watch, origins)


def _load(uid: str, task: Task, lineage: Lineage, with_origins: bool):
    path = lineage.network_path(uid)
    return networks.load(path, task.network), read_json(path.with_name("origins.json")) if with_origins else None


def _used(network: nn.Module, whole: nn.Module, task: Task, resource: str) -> float:
    """Share of the resource of a whole that a network uses."""
    if resource == "latency":
        from . import latency
        return latency.ratio(network, whole, arguments_of(task.example_input))
    used = cost.synapses if resource == "parameters" else lambda it: cost.macs(it, task.example_input)
    return used(network) / used(whole)


def _expected(ancestor: nn.Module, task: Task, parameters: dict, lineage: Lineage, budget: dict) -> Record:
    """What an offspring will be at its most efficient, with no view to its latency."""
    record, share = _described(ancestor, task, {**parameters, "latency": False}, lineage), SLACK * budget[parameters["resource"]]
    return record._replace(synapses=record.synapses * share, macs=record.macs * share, efficiency=record.efficiency / share)


def _described(network: nn.Module, task: Task, parameters: dict, lineage: Lineage) -> Record:
    """What is known of a network before it is judged."""
    synapses, founder, share = cost.synapses(network), lineage.record(FOUNDER), None
    if parameters["latency"] and founder:
        share = _used(network, _load(FOUNDER, task, lineage, False)[0], task, "latency")
    return Record(
        **{name: parameters[name] for name in ("uid", "generation", "ancestor", "other", "arguments")},
        validation=math.nan, test=math.nan, synapses=synapses, macs=cost.macs(network, task.example_input),
        efficiency=founder.synapses / synapses if founder else 1.0, untrained=None, architecture=cost.architecture(network),
        seconds={}, latency=share)


def _add(record: Record, network: nn.Module, task: Task, lineage: Lineage, watch: Stopwatch, origins: dict | None) -> Record:
    record = record._replace(test=task.fidelity(network, "test"))
    if not (math.isfinite(record.validation) and math.isfinite(record.test)):
        raise FloatingPointError(f"fidelity must be finite, but got {record.validation} (validation) and {record.test} (test)")

    def save(path: Path) -> None:
        networks.save(network, path)
        if origins is not None:
            write_json(path.with_name("origins.json"), origins)

    return lineage.add(record._replace(seconds=watch.seconds()), save)
