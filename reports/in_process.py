"""A contest in this process, of a task that is defined in it: no manager, no port, no file."""

from __future__ import annotations

import html
import itertools
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nni
import torch
import yaml
from nni_stress.trials.pruners import SPACES

from nni_stress.trial.in_process import evolve
from nni_stress.trial.placement import placed
from nni_stress.trial.task import Task, load_task
from nni_stress.trials import builtin
from nni_stress.utils.atomic_files import read_json, write_json

from . import running
from .cell_records import cell_path, read_cell, write_cell
from .collect import collect
from .compare import Comparison
from .compare import compare as compare_results
from .contest import ABLATIONS, Contest, importable_task, space_of
from .contest_file import begin_with
from .contest_tuner import ContestTuner
from .environment import environment
from .evolving import trials_of, tuner_arguments
from .export import trials as trials_in
from .page import html as page_of
from .page import write_report

_DEFAULTS = Path(__file__).with_name("compare.yml")
_ALIKE = 0.005  # by which the fidelity of one network may differ between machines
_IN_PROCESS = "nni_stress.compare:task"  # in place of the name of a task that has none


class ContestResult:
    """What a contest found.

    Parameters
    ----------
    facts
        The comparison.
    page
        The report, an HTML page.

    Attributes
    ----------
    facts
        All facts as named tuples.
    page
        The report. Beside it are its Markdown twin, CSV and JSON.

    Examples
    --------
    >>> result = nni_stress.compare(task, folder="contest")  # doctest: +SKIP
    >>> result.records[0]["method"]  # doctest: +SKIP
    'evolution'
    """

    def __init__(self, facts: Comparison, page: Path):
        self.facts = facts
        self.page = page

    @property
    def verdict(self) -> str:
        """The sentence at the top of the report."""
        return self.facts.verdict

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every trial of every cell, as plain data that ``pandas.DataFrame`` takes.

        Those that were chosen, each the best on validation data within its budget, have
        ``chosen``.
        """
        return trials_in(self.facts)

    def __repr__(self) -> str:
        return "\n".join([self.verdict, *self.facts.details, *self.facts.results.problems])

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(page_of(self.facts), quote=True)}" '
            'style="width: 100%; height: 640px; border: 1px solid #8886" sandbox></iframe>'
        )


def compare(
    task: Task | str,
    folder: str | Path,
    methods: Sequence[str] = ("evolution", "L1NormPruner", "AGPPruner"),
    budgets: Sequence[float] = (10.0,),
    seeds: Sequence[int] = (1, 2, 3),
    *,
    trials: int = 6,
    epochs: float = 1.0,
    evolution: Mapping[str, Any] | None = None,
    founder: str | Path | None = None,
    show: Callable[[str], None] = print,
) -> ContestResult:
    """Compare an evolution with NNI's pruners on a task, with equal training for all.

    All trials run in this process, one after the other. Interrupted, the same call goes on where it
    was; methods, budgets and seeds may be added. The rules are those of ``python -m reports
    contest``, which runs trials side by side and on other machines.

    Parameters
    ----------
    task
        The task, or the function that makes it, as ``"trial.py:make_task"``.
    folder
        Folder for the records and the report; made where it does not exist.
    methods
        The evolution, its ablations, and NNI's pruners by their names.
    budgets
        The founder's parameters divided by those that may be left, each above 1.
    seeds
        Each method runs once with each budget and seed.
    trials
        Trials of each such cell: offspring of the evolution, or trials of a pruner's search.
    epochs
        Epochs of training in each trial, whatever for.
    evolution
        Settings of the evolution that differ from those of ``reports/compare.yml``:
        ``generations``, ``tolerance``, ``stress_epochs`` and ``space``, a search space.
    founder
        File of the founder; None: it is trained as the task says, and kept in the folder.
    show
        Takes a line for every cell that is done.

    Returns
    -------
    ContestResult
        With `verdict`, `records`, `page`; in a notebook it shows the report.

    Raises
    ------
    ValueError
        If an argument is wrong, or the folder holds another contest.

    Examples
    --------
    >>> import nni_stress
    >>> result = nni_stress.compare("trial.py:make_task", "contest", trials=4)  # doctest: +SKIP
    >>> print(result)  # doctest: +SKIP
    """
    folder = Path(folder).resolve()
    made = placed(_task_of(task))
    file = {
        "task": task if isinstance(task, str) else _IN_PROCESS,
        "methods": list(methods),
        "budgets": list(budgets),
        "seeds": list(seeds),
        "trials": trials,
        "epochs": epochs,
        "evolution": _settings(evolution or {}, made),
        "concurrency": 1,
        "threads": torch.get_num_threads(),
    }
    contest = begin_with(file, folder)
    with running.alone(folder), _generators_kept():
        path = _founder(made, folder, None if founder is None else Path(founder))
        write_json(folder / "environment.json", environment())
        _evolve(contest, made, folder, path, show)
        _prune(contest, made, folder, path, show)
        shutil.rmtree(folder / "work", ignore_errors=True)
        facts = compare_results(collect(folder))
        return ContestResult(facts, write_report(facts, folder))


def _task_of(task: Task | str) -> Task:
    if isinstance(task, str):
        return load_task(importable_task(task))
    if not isinstance(task, Task):
        raise TypeError(f"task must be an nni_stress.Task or name a function, but got {task!r}")
    return task


def _founder(task: Task, folder: Path, file: Path | None) -> Path:
    """The founder's file, if the task is that of the records; only its name says so otherwise."""
    record = folder / "founder.json"
    known = read_json(record) if record.exists() else None
    file = running.prepare_founder(task, folder, file)
    now = read_json(record)["validation"]
    if known is not None and not math.isclose(
        known["validation"], now, rel_tol=_ALIKE, abs_tol=_ALIKE
    ):
        write_json(record, known)
        raise ValueError(
            f"{folder} holds a contest of another task, on which the founder's fidelity is "
            f"{known['validation']:g}, not {now:g}: name another folder"
        )
    return file


def _settings(changes: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """The settings of the evolution; without a batch to judge candidates on, there is one each."""
    known: dict[str, Any] = yaml.safe_load(_DEFAULTS.read_text(encoding="utf-8"))["evolution"]
    if task.screening is None:
        del known["space"]["candidates"]
    return {**known, **changes}


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Leave torch's generator, which trials seed, as it was."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


def _evolve(
    contest: Contest, task: Task, folder: Path, founder: Path, show: Callable[[str], None]
) -> None:
    """Run the evolutions that have no record; one that was interrupted goes on."""
    for cell in contest.cells():
        if cell.method not in ABLATIONS or read_cell(folder, cell):
            continue
        work = folder / "work" / cell_path(folder, cell).relative_to(folder).with_suffix("")
        lineage = evolve(
            task,
            work / "lineage",
            dict(sorted(space_of(contest, cell).items())),  # the order in which nnictl gets it
            founder,
            **tuner_arguments(contest, cell),
        )
        write_cell(folder, cell, trials_of(task, founder, lineage))
        shutil.rmtree(work)
        show(f"{cell.name} is done: {cell_path(folder, cell)}")


def _prune(
    contest: Contest, task: Task, folder: Path, founder: Path, show: Callable[[str], None]
) -> None:
    """Run the trials of the built-in pruners that have no record."""
    tuner = ContestTuner(str(folder), SPACES, show)
    for number in itertools.count():
        try:
            parameters = tuner.generate_parameters(number)
        except nni.NoMoreTrialError:
            return
        result = builtin.run(parameters, lambda: task, founder)
        tuner.receive_trial_result(number, parameters, result)
        tuner.trial_end(number, True)
