"""Runs the evolutions of a contest, each as an experiment of its own."""

from __future__ import annotations

import concurrent.futures
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nni_stress.graph import latency, serialization
from nni_stress.lineage.store import FOUNDER, Lineage, Record
from nni_stress.trial.task import Task, load_task
from nni_stress.utils.batches import arguments_of

from .cell_records import cell_path, write_cell
from .contest import ABLATIONS, Cell, Contest, importable_task, space_of
from .experiments import contest_command, run_experiment

_LATENCY_SECONDS = 0.2  # of measuring, for each network


def evolve_all(
    contest: Contest,
    cells: list[Cell],
    folder: Path,
    founder: Path,
    port: int,
    show: Callable[[str], None],
) -> None:
    """Run evolutions side by side, each with a port of its own; an interrupt ends them all.

    Parameters
    ----------
    contest
        The contest.
    cells
        Its cells to run, of the evolution or its ablations.
    folder
        The contest's folder.
    founder
        File of the founder.
    port
        The first of ``contest.concurrency`` ports.
    show
        Takes a line for every cell that is done.
    """
    ports = list(range(port, port + contest.concurrency))
    interrupted = threading.Event()

    def raise_if_interrupted() -> None:
        if interrupted.is_set():
            raise InterruptedError

    def evolve(cell: Cell) -> None:
        own_port = ports.pop()
        try:
            _evolve(contest, cell, folder, founder, own_port, raise_if_interrupted)
        finally:
            ports.append(own_port)
        show(f"{cell.name} is done")

    with concurrent.futures.ThreadPoolExecutor(contest.concurrency) as pool:
        running = [pool.submit(evolve, cell) for cell in cells]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
        except BaseException:
            interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise


def _evolve(
    contest: Contest,
    cell: Cell,
    folder: Path,
    founder: Path,
    port: int,
    each_second: Callable[[], None],
) -> None:
    """Run one evolution, and write its record."""
    work = folder / "work" / cell_path(folder, cell).relative_to(folder).with_suffix("")
    shutil.rmtree(work, ignore_errors=True)  # of an attempt that was cut short
    lineage = Lineage(work / "lineage")
    config = _experiment(contest, cell, founder, lineage.folder)
    run_experiment(config, work, port, each_second)
    task = load_task(importable_task(contest.task), contest.task_arguments)
    write_cell(folder, cell, trials_of(task, founder, lineage))
    shutil.rmtree(work)


def _experiment(contest: Contest, cell: Cell, founder: Path, lineage: Path) -> dict[str, Any]:
    """Return the experiment of one evolution, as an experiment file has it."""
    return {
        "experimentName": cell.name,
        "searchSpace": space_of(contest, cell),
        "trialConcurrency": 1,
        "trialCommand": contest_command("contestant", contest, founder),
        "trialCodeDirectory": str(Path.cwd()),
        "trainingService": dict(contest.training_service),
        "tuner": {
            "className": "nni_stress.StressTuner",
            "classArgs": {
                "folder": str(lineage),
                **tuner_arguments(contest, cell),
            },
        },
    }


def tuner_arguments(contest: Contest, cell: Cell) -> dict[str, Any]:
    """Return the arguments of StressTuner in one evolution, but for its folder.

    Parameters
    ----------
    contest
        The contest.
    cell
        A cell of the evolution or of one of its ablations.
    """
    _, arguments = ABLATIONS[cell.method]
    generations = contest.evolution["generations"]
    return {
        "population_size": contest.trials // generations,
        "generations": generations,
        "target_efficiency": cell.budget,
        "tolerance": contest.evolution["tolerance"],
        "seed": cell.seed,
        **arguments,
    }


def trials_of(task: Task, founder: Path, lineage: Lineage) -> list[dict[str, Any]]:
    """Return the offspring of an evolution as trials of its cell, with their latency.

    Parameters
    ----------
    task
        What was evolved.
    founder
        File of the founder.
    lineage
        The evolution.
    """
    whole = serialization.load(founder, task.network)
    inputs = arguments_of(task.example_input)
    trials: list[dict[str, Any]] = []
    for record in lineage.records():
        if record.uid != FOUNDER:
            network = serialization.load(lineage.network_path(record.uid), task.network)
            share = latency.ratio(network, whole, inputs, _LATENCY_SECONDS)
            trials.append(_trial(len(trials), record, share))
    return trials


def _trial(number: int, record: Record, latency_share: float) -> dict[str, Any]:
    arguments = record.arguments
    return {
        "trial": number,
        "uid": record.uid,
        "ancestor": record.ancestor,
        "knobs": arguments,
        "validation": record.validation,
        "test": record.test,
        "untrained": record.untrained,
        "synapses": record.synapses,
        "macs": record.macs,
        "efficiency": record.efficiency,
        "latency": latency_share,
        "architecture": record.architecture,
        "seconds": {phase: record.seconds[phase] for phase in ("stress", "synthesis", "recovery")},
        "curve": record.curve,
        "epochs": arguments["stress_epochs"] + arguments["recovery_epochs"],
    }
