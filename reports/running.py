"""Runs a contest: the founder once, every evolution as an experiment of its own, all built-in pruners in one."""

from __future__ import annotations

import concurrent.futures
import json
import shlex
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import torch

from nni_stress.experiment import launch
from nni_stress.graph import cost, latency, serialization
from nni_stress.lineage.store import FOUNDER, Lineage
from nni_stress.trial.task import load_task
from nni_stress.utils.atomic_files import write_json
from nni_stress.utils.batches import arguments_of
from trials import pruners
from trials.founders import train_founder

from .contest import (
    ABLATIONS,
    EVOLUTION,
    Cell,
    Contest,
    cell_path,
    read_cell,
    read_contest,
    space_of,
    write_cell,
)
from .environment import environment

_ROUNDS = 3  # experiments for the built-in pruners, where trials get lost


def run_contest(
    folder: Path, port: int, founder: Path | None = None, show: Callable[[str], None] = print
) -> list[Cell]:
    """Run whatever of a contest is not recorded in its folder.

    Parameters
    ----------
    folder
        Of its records, with its contest.yml: see :func:`reports.contest.begin`.
    port
        The first of so many ports for NNI's managers as trials may run at a time.
    founder
        File of the founder; None: trained by the task, and kept in the folder.
    show
        Takes a line for every cell that is done.

    Returns
    -------
    list
        The cells that are still incomplete, because trials were lost.

    Raises
    ------
    ValueError, FileNotFoundError, LaunchError
        If the contest, its task or a record is wrong, or an experiment ends in ERROR.
    """
    folder = folder.resolve()
    contest = read_contest(folder / "contest.yml")
    founder = _founder(contest, folder, founder)
    write_json(folder / "environment.json", environment())
    evolutions = [
        cell for cell in contest.cells() if cell.method in ABLATIONS and not read_cell(folder, cell)
    ]
    _evolve_all(
        contest,
        [cell for cell in evolutions if cell.method == EVOLUTION],
        folder,
        founder,
        port,
        show,
    )
    for _ in range(_ROUNDS):
        if _incomplete(contest, folder):
            _prune(contest, folder, founder, port, show)
    # last what matters least, should the contest be cut short
    _evolve_all(
        contest,
        [cell for cell in evolutions if cell.method != EVOLUTION],
        folder,
        founder,
        port,
        show,
    )
    shutil.rmtree(folder / "work", ignore_errors=True)
    return _incomplete(contest, folder)


def _founder(contest: Contest, folder: Path, file: Path | None) -> Path:
    """The founder's file, trained where it does not exist, and what it achieves."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (file or folder / "founder.safetensors").resolve()
    task = load_task(contest.task, contest.task_arguments)
    torch.set_num_threads(contest.concurrency * contest.threads)
    network = (
        train_founder(task, file) if not file.exists() else serialization.load(file, task.network)
    )
    write_json(
        folder / "founder.json",
        {
            "synapses": cost.synapses(network),
            "macs": cost.macs(network, task.example_input),
            "architecture": cost.architecture(network),
            "validation": task.fidelity(network, "validation"),
            "test": task.fidelity(network, "test"),
            "epochs": task.founder_epochs,
        },
    )
    return file


def _incomplete(contest: Contest, folder: Path) -> list[Cell]:
    return [
        cell
        for cell in contest.cells()
        if cell.method not in ABLATIONS and _lacking(contest, folder, cell)
    ]


def _lacking(contest: Contest, folder: Path, cell: Cell) -> int:
    """How many of its trials a built-in pruner's cell lacks."""
    return contest.share(cell.method)[0] - len(read_cell(folder, cell))


def _evolve_all(
    contest: Contest,
    cells: list[Cell],
    folder: Path,
    founder: Path,
    port: int,
    show: Callable[[str], None],
) -> None:
    """Evolutions side by side, each an experiment with a port of its own. An interrupt ends them all."""
    ports, interrupted = list(range(port, port + contest.concurrency)), threading.Event()

    def look() -> None:
        if interrupted.is_set():
            raise InterruptedError

    def evolve(cell: Cell) -> None:
        mine = ports.pop()
        try:
            _evolve(contest, cell, folder, founder, mine, look)
        finally:
            ports.append(mine)
        show(f"{cell.name} is done")

    with concurrent.futures.ThreadPoolExecutor(contest.concurrency) as pool:
        running = [pool.submit(evolve, cell) for cell in cells]
        try:
            for each in concurrent.futures.as_completed(running):
                each.result()
        except BaseException:
            interrupted.set()
            pool.shutdown(cancel_futures=True)
            raise


def _evolve(
    contest: Contest, cell: Cell, folder: Path, founder: Path, port: int, look: Callable[[], None]
) -> None:
    """One evolution, from the founder to its record."""
    work, (_, arguments) = (
        folder / "work" / cell_path(folder, cell).relative_to(folder).with_suffix(""),
        ABLATIONS[cell.method],
    )
    shutil.rmtree(work, ignore_errors=True)  # of an attempt that was cut short
    generations = contest.evolution["generations"]
    lineage = Lineage(work / "lineage")
    _follow(
        {
            "experimentName": cell.name,
            "searchSpace": space_of(contest, cell),
            "trialConcurrency": 1,
            "trialCommand": _command(
                "trials.contestant",
                contest,
                "--task",
                contest.task,
                "--founder",
                founder,
                "--task-arguments",
                json.dumps(dict(contest.task_arguments)),
            ),
            "trialCodeDirectory": str(Path.cwd()),
            "trainingService": dict(contest.training_service),
            "tuner": {
                "className": "nni_stress.StressTuner",
                "classArgs": dict(
                    population_size=contest.trials // generations,
                    generations=generations,
                    target_efficiency=cell.budget,
                    tolerance=contest.evolution["tolerance"],
                    seed=cell.seed,
                    folder=str(lineage.folder),
                    **arguments,
                ),
            },
        },
        work,
        port,
        look,
    )
    task = load_task(contest.task, contest.task_arguments)
    whole, inputs = serialization.load(founder, task.network), arguments_of(task.example_input)

    def share_of_latency(uid: str) -> float:
        return latency.ratio(
            serialization.load(lineage.network_path(uid), task.network), whole, inputs, 0.2
        )

    trials = [
        {
            "trial": number,
            "uid": record.uid,
            "ancestor": record.ancestor,
            "knobs": record.arguments,
            "validation": record.validation,
            "test": record.test,
            "untrained": record.untrained,
            "synapses": record.synapses,
            "macs": record.macs,
            "efficiency": record.efficiency,
            "latency": share_of_latency(record.uid),
            "architecture": record.architecture,
            "seconds": {
                phase: record.seconds[phase] for phase in ("stress", "synthesis", "recovery")
            },
            "curve": record.curve,
            "epochs": record.arguments["stress_epochs"] + record.arguments["recovery_epochs"],
        }
        for number, record in enumerate(
            record for record in lineage.records() if record.uid != FOUNDER
        )
    ]
    write_cell(folder, cell, trials)
    shutil.rmtree(work)


def _prune(
    contest: Contest, folder: Path, founder: Path, port: int, show: Callable[[str], None]
) -> None:
    """All that is missing of the built-in pruners' cells."""
    work, lacking = folder / "work" / "builtin", _incomplete(contest, folder)
    told = set(contest.cells()) - set(lacking)
    missing = sum(_lacking(contest, folder, cell) for cell in lacking)

    def look() -> None:
        for cell in contest.cells():
            if cell not in told and not _lacking(contest, folder, cell):
                told.add(cell)
                show(f"{cell.name} is done")

    shutil.rmtree(work, ignore_errors=True)
    _follow(
        {
            "experimentName": f"contest {folder.name}",
            "searchSpace": {"unused": {"_type": "choice", "_value": [0]}},
            "trialConcurrency": contest.concurrency,
            "trialCommand": _command("trials.builtin", contest),
            "maxTrialNumber": missing,  # NNI knows no other end than a number
            "trialCodeDirectory": str(Path.cwd()),
            "trainingService": dict(contest.training_service),
            "tuner": {
                "className": "reports.contest_tuner.ContestTuner",
                "codeDirectory": str(Path.cwd()),
                "classArgs": {
                    "folder": str(folder),
                    "spaces": pruners.SPACES,
                    "founder": str(founder),
                },
            },
        },
        work,
        port,
        look,
    )
    shutil.rmtree(work)


def _command(module: str, contest: Contest, *words) -> str:
    return shlex.join(
        [
            Path(sys.executable).name,
            "-m",
            module,
            "--threads",
            str(contest.threads),
            *map(str, words),
        ]
    )


def _follow(config: dict, work: Path, port: int, each_second: Callable[[], None]) -> None:
    experiment = launch.start(config, work, port)
    try:
        experiment.follow(each_second)
    finally:
        experiment.stop()
