"""What one trial does: ancestor -> stress -> synthesis -> recovery -> record, for any task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import nni
import torch
from torch import nn

from ..evolution.early_stopping import SLACK
from ..graph import serialization
from ..hparams import Arguments
from ..lineage.record import Record
from ..lineage.store import FOUNDER, Lineage
from ..lineage.trial_spec import TrialSpec
from ..pruning.screening import Screen
from ..utils.atomic_files import write_json
from ..utils.seeding import seed_of
from .contract import network_of, pair
from .errors import fatal
from .inheritance import Inheritance, Origins, inherit, load_parents
from .measurement import Size, Validation, make_record, measure_size
from .recovery import EarlyEnding, recover, skip_recovery
from .task import Task
from .timing import Stopwatch
from .training import Training, founder_training, stress_evaluator

if TYPE_CHECKING:
    from ..pruning.pruner import StressPruner


def stress_and_synthesize(
    ancestor: nn.Module, task: Task, arguments: Arguments, seed: int, resource: str = "parameters"
) -> nn.Module:
    """Train the ancestor under stress, draw the offspring's clusters, and build the small network.

    Parameters
    ----------
    ancestor
        Trained in place, and pruned.
    task
        Its data and loss.
    arguments
        Hyperparameters.
    seed
        Of all random choices.
    resource
        The environmental factor is a share of this resource of the ancestor: "parameters", "macs"
        or "latency".

    Returns
    -------
    torch.nn.Module
        The offspring, not yet recovered.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 1, bias=False)),
    ...     example_input=inputs, loader=lambda generator: [(inputs, targets)],
    ...     loss=nn.functional.mse_loss, fidelity=lambda network, split: 0.0,
    ...     founder_epochs=1, founder_learning_rate=0.1,
    ... )
    >>> arguments = Arguments(environmental_factor=0.5, stress_epochs=5)
    >>> stress_and_synthesize(task.network(), task, arguments, seed=0)[0]
    Linear(in_features=4, out_features=4, bias=False)
    """
    budget = {resource: arguments.environmental_factor}
    pruner = _compress(ancestor, task, arguments, seed, budget, Stopwatch())
    return pruner.synthesize(task.example_input)


def _compress(
    ancestor: nn.Module,
    task: Task,
    arguments: Arguments,
    seed: int,
    budget: dict[str, float],
    watch: Stopwatch,
) -> StressPruner:
    """A pruner that has trained the ancestor under stress and drawn the offspring's clusters."""
    from ..pruning.pruner import StressPruner  # takes seconds, which the founder's trial saves

    torch.manual_seed(seed)
    evaluator, steps = stress_evaluator(
        ancestor,
        task,
        arguments.stress_epochs,
        arguments.learning_rate,
        seed,
        lambda: watch("stress"),
    )
    pruner = StressPruner(
        ancestor,
        [task.clusters],
        evaluator,
        steps or None,
        seed=seed,
        budget=budget,
        example_input=task.example_input,
        candidates=int(arguments.candidates),
        screen=_screen(task, arguments),
        floor=int(arguments.floor),
        multiple=int(arguments.multiple),
        worth=(arguments.early_worth, arguments.late_worth),
        redundancy=arguments.redundancy,
        **arguments.for_pruner(),
    )
    pruner.compress()
    ancestor.eval()
    return pruner


def _screen(task: Task, arguments: Arguments) -> Screen | None:
    if arguments.candidates <= 1:
        return None
    if task.screening is None:
        raise ValueError(
            f"candidates={arguments.candidates} needs Task.screening, a batch to judge them on, "
            "but got none"
        )
    inputs, targets = pair(
        task.screening, "Task.screening must be a pair (inputs, targets), but is"
    )
    return Screen(inputs, targets, task.loss)


def make_founder(task: Task, spec: TrialSpec, lineage: Lineage, file: str | Path | None) -> Record:
    """Make generation 0: the founder, read from its file or trained.

    Parameters
    ----------
    task
        What is to be evolved.
    spec
        What the trial is told.
    lineage
        The founder is added to it.
    file
        The founder's file, which is written if it does not exist. None: the founder is trained.

    Raises
    ------
    InputError
        If the file is not a network of this task.
    FloatingPointError
        If the loss or a fidelity is not finite.
    """
    watch = Stopwatch()
    seed = seed_of(spec.seed, FOUNDER)
    task = watch.evaluating(task)
    torch.manual_seed(seed)
    if file is not None and Path(file).exists():
        with fatal():
            network = serialization.load(file, task.network)
    else:
        network = network_of(task)
        with watch("training"):
            _train_founder(network, task, seed)
        if file is not None:
            serialization.save(network, file)
    origins = None
    if spec.origins:
        from ..graph import crossover  # takes seconds, which other trials of a founder save

        origins = crossover.founding(network, task.example_input)
    size = measure_size(network, task, lineage, spec.latency)
    validation = Validation(task.fidelity(network, "validation"))
    return _add(spec, size, validation, network, origins, task, lineage, watch)


def _train_founder(network: nn.Module, task: Task, seed: int) -> None:
    training = founder_training(network, task, seed)
    for _ in training:
        if training.between_epochs:
            nni.report_intermediate_result(task.fidelity(network, "validation"))


def make_offspring(task: Task, spec: TrialSpec, lineage: Lineage) -> Record:
    """Make one offspring, from the files of its ancestors to its own record.

    Parameters
    ----------
    task
        What is evolved.
    spec
        What the trial is told.
    lineage
        Holds the ancestors; the offspring is added to it.

    Raises
    ------
    InputError
        If an ancestor cannot be read.
    FloatingPointError
        If the loss or a fidelity is not finite.
    ValueError, TypeError
        If a hyperparameter is wrong.
    """
    watch = Stopwatch()
    task = watch.evaluating(task)
    arguments = spec.hyperparameters()
    seed = seed_of(spec.seed, spec.uid)
    early_ending = EarlyEnding(lineage) if spec.early_ending else None
    with fatal():
        parents = load_parents(task, spec, lineage)
    with watch("synthesis"):
        inherited = inherit(parents, task, spec, arguments, lineage)
        forecast = None
        if early_ending is not None:
            share = SLACK * inherited.budget[spec.resource]
            ancestor_size = measure_size(inherited.network, task, lineage)
            forecast = early_ending.forecast_if_superseded(ancestor_size.candidate(spec, share))
        if forecast is not None:  # what cannot survive is synthesized without any training
            arguments = replace(arguments, stress_epochs=0.0, strength="magnitude", candidates=1)
        network, origins = _synthesize(inherited, task, arguments, seed_of(seed, "stress"), watch)
    size = measure_size(network, task, lineage, spec.latency)
    if forecast is not None:
        validation = skip_recovery(network, task, forecast)
    else:
        with watch("recovery"):
            training = Training(
                network,
                task,
                arguments.recovery_epochs,
                arguments.learning_rate,
                seed_of(seed, "recovery"),
            )
            validation = recover(network, task, training, size.candidate(spec), early_ending)
    return _add(spec, size, validation, network, origins, task, lineage, watch)


def _synthesize(
    inherited: Inheritance, task: Task, arguments: Arguments, seed: int, watch: Stopwatch
) -> tuple[nn.Module, Origins | None]:
    pruner = _compress(inherited.network, task, arguments, seed, inherited.budget, watch)
    if inherited.origins is None:
        return pruner.synthesize(task.example_input), None
    from ..graph import crossover

    return crossover.synthesize(pruner, task.example_input, inherited.origins)


def _add(
    spec: TrialSpec,
    size: Size,
    validation: Validation,
    network: nn.Module,
    origins: Origins | None,
    task: Task,
    lineage: Lineage,
    watch: Stopwatch,
) -> Record:
    """Judge an offspring on the test data, and add it with its record to the lineage."""
    test = task.fidelity(network, "test")

    def save(path: Path) -> None:
        serialization.save(network, path)
        if origins is not None:
            write_json(path.with_name("origins.json"), origins)

    return lineage.add(make_record(spec, size, validation, test, watch.seconds()), save)
