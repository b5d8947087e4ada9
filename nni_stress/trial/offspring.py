"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import nni
import torch
from torch import nn

from ..evolution.early_stopping import SLACK
from ..graph import cost, serialization
from ..hparams import Arguments
from ..lineage.store import FOUNDER, Lineage, Record
from ..pruning.screening import Screen
from ..utils.atomic_files import read_json, write_json
from ..utils.batches import arguments_of
from ..utils.seeding import seed_of
from .errors import _fatal
from .recovery import recover, spare, superseded
from .task import Task
from .timing import Stopwatch
from .training import Training, founder_training, stress_evaluator


def stress_and_synthesize(
    ancestor: nn.Module, task: Task, arguments: Arguments, seed: int, resource: str = "parameters"
) -> nn.Module:
    """Train the ancestor under stress, draw the offspring's clusters, and build the physically small offspring.

    The environmental factor is a share of the `resource` that the ancestor uses.
    """
    budget = {resource: arguments.environmental_factor}
    return _compressed(ancestor, task, arguments, seed, budget, Stopwatch()).synthesize(
        task.example_input
    )


def _compressed(
    ancestor: nn.Module, task: Task, arguments: Arguments, seed: int, budget: dict, watch: Stopwatch
):
    from ..pruning.pruner import (
        StressPruner,
    )  # seconds to import; the founder's trial needs none of it

    torch.manual_seed(seed)
    evaluator, steps = stress_evaluator(
        ancestor,
        task,
        arguments.stress_epochs,
        arguments.learning_rate,
        seed,
        lambda: watch("stress"),
    )
    if arguments.candidates > 1 and task.screening is None:
        raise ValueError(
            f"candidates={arguments.candidates} needs Task.screening, a batch to judge them on, but got none"
        )
    screen = Screen(*task.screening, task.loss) if arguments.candidates > 1 else None
    pruner = StressPruner(
        ancestor,
        [task.clusters],
        evaluator,
        steps or None,
        seed=seed,
        budget=budget,
        example_input=task.example_input,
        candidates=int(arguments.candidates),
        screen=screen,
        floor=int(arguments.floor),
        multiple=int(arguments.multiple),
        worth=(arguments.early_worth, arguments.late_worth),
        redundancy=arguments.redundancy,
        **arguments.for_pruner(),
    )
    pruner.compress()
    ancestor.eval()
    return pruner


def make_founder(task: Task, parameters: dict, lineage: Lineage, file: str | Path | None) -> Record:
    """Generation 0: the founder, read from its file or trained."""
    watch, seed = Stopwatch(), seed_of(parameters["seed"], FOUNDER)
    task = watch.evaluating(task)
    torch.manual_seed(seed)
    if file is not None and Path(file).exists():
        with _fatal():
            network = serialization.load(file, task.network)
    else:
        network = task.network()
        with watch("training"):
            training = founder_training(network, task, seed)
            for _ in training:
                if training.between_epochs:
                    nni.report_intermediate_result(task.fidelity(network, "validation"))
        if file is not None:
            serialization.save(network, file)
    origins = None
    if parameters["origins"]:
        from ..graph import crossover  # seconds to import, as all that follows networks

        origins = crossover.founding(network, task.example_input)
    record = _described(network, task, parameters, lineage)
    return _add(
        record._replace(validation=task.fidelity(network, "validation")),
        network,
        task,
        lineage,
        watch,
        origins,
    )


def make_offspring(task: Task, parameters: dict, lineage: Lineage) -> Record:
    """One generation of one offspring, from its ancestors' files to its own record."""
    from ..graph import crossover

    watch = Stopwatch()
    task = watch.evaluating(task)
    arguments = Arguments.from_mapping(parameters["arguments"])
    seed, peers = (
        seed_of(parameters["seed"], parameters["uid"]),
        lineage if parameters.get("early_ending") else None,
    )
    with _fatal():
        ancestor, origins = _load(parameters["ancestor"], task, lineage, parameters["origins"])
        other = parameters["other"] and _load(parameters["other"], task, lineage, True)
    budget = {
        parameters["resource"]: arguments.environmental_factor,
        **parameters.get("constrained", {}),
    }
    with watch("synthesis"):
        if other:
            founder, _ = _load(FOUNDER, task, lineage, False)
            one, (two, others) = ancestor, other
            ancestor, origins = crossover.union(
                founder, task.example_input, one, origins, two, others
            )
            budget = {
                resource: min(
                    1.0,
                    share
                    * sum(_used(network, ancestor, task, resource) for network in (one, two))
                    / 2,
                )
                for resource, share in budget.items()
            }
        forecast = peers and superseded(
            _expected(ancestor, task, parameters, lineage, budget), peers
        )
        if forecast is not None:  # nothing is trained that cannot survive
            arguments = replace(arguments, stress_epochs=0.0, strength="magnitude", candidates=1)
        pruner = _compressed(ancestor, task, arguments, seed_of(seed, "stress"), budget, watch)
        if origins is None:
            network = pruner.synthesize(task.example_input)
        else:
            network, origins = crossover.synthesize(pruner, task.example_input, origins)
    record = _described(network, task, parameters, lineage)
    if forecast is not None:
        return _add(spare(record, network, task, forecast), network, task, lineage, watch, origins)
    with watch("recovery"):
        training = Training(
            network,
            task,
            arguments.recovery_epochs,
            arguments.learning_rate,
            seed_of(seed, "recovery"),
        )
        record = recover(record, network, task, training, peers)
    return _add(record, network, task, lineage, watch, origins)


def _load(uid: str, task: Task, lineage: Lineage, with_origins: bool):
    path = lineage.network_path(uid)
    return serialization.load(path, task.network), read_json(
        path.with_name("origins.json")
    ) if with_origins else None


def _used(network: nn.Module, whole: nn.Module, task: Task, resource: str) -> float:
    """Share of the resource of a whole that a network uses."""
    if resource == "latency":
        from ..graph import latency

        return latency.ratio(network, whole, arguments_of(task.example_input))
    used = (
        cost.synapses if resource == "parameters" else lambda it: cost.macs(it, task.example_input)
    )
    return used(network) / used(whole)


def _expected(
    ancestor: nn.Module, task: Task, parameters: dict, lineage: Lineage, budget: dict
) -> Record:
    """What an offspring will be at its most efficient, with no view to its latency."""
    record, share = (
        _described(ancestor, task, {**parameters, "latency": False}, lineage),
        SLACK * budget[parameters["resource"]],
    )
    return record._replace(
        synapses=record.synapses * share,
        macs=record.macs * share,
        efficiency=record.efficiency / share,
    )


def _described(network: nn.Module, task: Task, parameters: dict, lineage: Lineage) -> Record:
    """What is known of a network before it is judged."""
    synapses, founder, share = cost.synapses(network), lineage.record(FOUNDER), None
    if parameters["latency"] and founder:
        share = _used(network, _load(FOUNDER, task, lineage, False)[0], task, "latency")
    return Record(
        **{
            name: parameters[name]
            for name in ("uid", "generation", "ancestor", "other", "arguments")
        },
        validation=math.nan,
        test=math.nan,
        synapses=synapses,
        macs=cost.macs(network, task.example_input),
        efficiency=founder.synapses / synapses if founder else 1.0,
        untrained=None,
        architecture=cost.architecture(network),
        seconds={},
        latency=share,
    )


def _add(
    record: Record,
    network: nn.Module,
    task: Task,
    lineage: Lineage,
    watch: Stopwatch,
    origins: dict | None,
) -> Record:
    record = record._replace(test=task.fidelity(network, "test"))
    if not (math.isfinite(record.validation) and math.isfinite(record.test)):
        raise FloatingPointError(
            f"fidelity must be finite, but got {record.validation} (validation) and {record.test} (test)"
        )

    def save(path: Path) -> None:
        serialization.save(network, path)
        if origins is not None:
            write_json(path.with_name("origins.json"), origins)

    return lineage.add(record._replace(seconds=watch.seconds()), save)
