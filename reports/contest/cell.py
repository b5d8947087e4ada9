"""Runs one cell: its search, then its final training, then its judgement."""

from __future__ import annotations

import logging
import statistics
import time
from pathlib import Path
from typing import Any

from torch import nn

from nni_stress.evolution.one_budget import RATE
from nni_stress.graph import cost, latency, serialization
from nni_stress.trial.contract import batches_per_epoch
from nni_stress.trial.maturation import Maturation
from nni_stress.trial.task import Task
from nni_stress.trial.training import Training
from nni_stress.utils.batches import arguments_of
from nni_stress.utils.logs import quieted
from nni_stress.utils.seeding import seed_of

from ..claims import provenance
from .methods.base import Found, Job
from .methods.level_pruner import synapses_left
from .methods.phases import whole_steps
from .methods.registry import METHODS
from .plan import EVOLUTION, UNSTRUCTURED, Cell, Contest, base_of, in_equal_seconds
from .records import founder_network, network_path, read_record

_LATENCY_SECONDS = 0.5  # of measuring each network
_RATES = (0.25, 8.0)  # lowest and highest learning rate of a search, over the founder's


def run_cell(contest: Contest, task: Task, folder: Path, cell: Cell) -> dict[str, Any]:
    """Run a cell, and keep its network in the folder.

    Parameters
    ----------
    contest
        The contest.
    task
        Its task.
    folder
        Its folder.
    cell
        The cell.

    Returns
    -------
    dict
        The fields of :class:`~reports.contest.records.Record` but for cell and path.

    Raises
    ------
    ValueError, RuntimeError
        If the method finds no network within the budget.
    FileNotFoundError
        If the cell takes up what another cell found, and that is not there.
    """
    begun = time.process_time()
    found = METHODS[base_of(cell.method)](job_of(contest, task, folder, cell))
    searched = time.process_time()
    left = _final_epochs(contest, folder, cell, found)
    epochs = whole_steps(task, left) / batches_per_epoch(task)
    rate = final_rate(contest, task, cell.method)
    seed = seed_of(cell.founder, cell.seed, "final")  # the same batches for all methods
    curve, epochs = final_training(found.network, task, epochs, rate, seed)
    trained = time.process_time()
    path = network_path(folder, cell)
    serialization.save(found.finish(found.network).eval(), path)
    # Judged is what its user would load: a removed mask may leave a layer in a slower format.
    network = serialization.load(path, task.network)
    whole = serialization.load(founder_network(folder, cell.founder), task.network)
    return {
        "validation": max(curve),
        "test": float(task.fidelity(network, "test")),
        "curve": curve,
        "uses": _uses(network, whole, task, cell.method in UNSTRUCTURED),
        "architecture": cost.architecture(network),
        "epochs": {"search": found.epochs, "final": epochs},
        "seconds": {
            "search": round(searched - begun, 2),
            "final": round(trained - searched, 2),
        },
        "learning_rate": rate,
        "trials": found.trials,
        "origin": provenance(),
    }


def final_training(
    network: nn.Module, task: Task, epochs: float, learning_rate: float, seed: int
) -> tuple[list[float], float]:
    """Train a network at its final size, as the evolution matures its best; keep the best epoch.

    Parameters
    ----------
    network
        Trained in place.
    task
        The task.
    epochs
        Length.
    learning_rate
        Highest learning rate.
    seed
        Of the order of the batches.

    Returns
    -------
    (list of float, float)
        Validation fidelity before, and after each epoch; epochs taken, which may be fewer.
    """
    training = Training(network, task, epochs, learning_rate, seed)
    with quieted("nni", logging.WARNING):  # which would print each fidelity
        curve = Maturation(network, task, training).run().curve
    return list(curve), training.step / batches_per_epoch(task)


def job_of(contest: Contest, task: Task, folder: Path, cell: Cell) -> Job:
    """A cell as its method sees it."""
    return Job(
        task,
        founder_network(folder, cell.founder),
        cell.resource,
        cell.budget,
        contest.search_epochs,
        contest.search_epochs + contest.final_epochs,
        seed_of(cell.founder, cell.seed, "search"),
        (_RATES[0] * task.founder_learning_rate, _RATES[1] * task.founder_learning_rate),
        network_path(folder, cell._replace(method=EVOLUTION)),
    )


def final_rate(contest: Contest, task: Task, method: str) -> float:
    """Highest learning rate of a method's final training."""
    return contest.learning_rates.get(base_of(method), usual_rate(contest, task))


def usual_rate(contest: Contest, task: Task) -> float:
    """Highest learning rate of the final training of methods that have none of their own."""
    return contest.learning_rate or RATE * task.founder_learning_rate


def _final_epochs(contest: Contest, folder: Path, cell: Cell, found: Found) -> float:
    """What the search has left; or as much as makes the seconds those of the evolution."""
    left = contest.search_epochs + contest.final_epochs - found.epochs
    if not in_equal_seconds(cell.method):
        return left
    own = _median_seconds(contest, folder, cell._replace(method=base_of(cell.method)))
    evolution = _median_seconds(contest, folder, cell._replace(method=EVOLUTION))
    return left * max(0.0, sum(evolution.values()) - own["search"]) / own["final"]


def _median_seconds(contest: Contest, folder: Path, cell: Cell) -> dict[str, float]:
    """Seconds of each phase of a method at a budget, in the middle of its seeds."""
    cells = [cell._replace(seed=seed, founder=contest.founder_of(seed)) for seed in contest.seeds]
    records = [read_record(folder, one) for one in cells]
    known = [record.seconds for record in records if record is not None]
    if len(known) < len(cells):
        raise FileNotFoundError(
            f"{cell.method} must be recorded for all seeds before its seconds can be equal, but "
            f"{len(cells) - len(known)} are missing"
        )
    return {phase: statistics.median(one[phase] for one in known) for phase in known[0]}


def _uses(network: nn.Module, whole: nn.Module, task: Task, sparse: bool) -> dict[str, float]:
    """Shares of what the founder uses; of a sparse network, only synapses that are not zero."""
    inputs = task.example_input
    left = synapses_left(network) if sparse else cost.synapses(network)
    return {
        "parameters": left / cost.synapses(whole),
        "macs": cost.macs(network, inputs) / cost.macs(whole, inputs),
        "latency": latency.ratio(network, whole, arguments_of(inputs), _LATENCY_SECONDS),
        "clusters": cost.clusters(network) / cost.clusters(whole),
    }
