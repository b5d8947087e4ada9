"""A contest from Python, of a task that may be defined in a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from nni_stress.trial.task import Task

from .file import begin_with
from .records import collect
from .report.export import cells
from .report.facts import Comparison
from .report.facts import compare as compare_records
from .report.page import html as page_of
from .report.page import write_report
from .report.sentences import sentence
from .report.verdict import verdicts
from .report.warnings import warnings
from .running import run_contest

_OWN = Path(__file__).with_name("own.yml")
_UNNAMED = "nni_stress.compare:task"  # in place of the name of a task that has none


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
    def verdict(self) -> list[str]:
        """The sentence of each axis, at the top of the report."""
        return [sentence(found) for found in verdicts(self.facts)]

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every cell as plain data that ``pandas.DataFrame`` takes."""
        return cells(self.facts)

    def __repr__(self) -> str:
        return "\n".join([*self.verdict, *warnings(self.facts), *self.facts.results.problems])

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(page_of(self.facts), quote=True)}" '
            'style="width: 100%; height: 640px; border: 1px solid #8886" sandbox></iframe>'
        )


def compare(
    task: Task | str,
    folder: str | Path,
    methods: Sequence[str] = ("evolution", "L1NormPruner", "Torch-Pruning Taylor"),
    budgets: Sequence[float] = (10.0,),
    seeds: Sequence[int] = (1, 2, 3),
    *,
    resource: str = "parameters",
    founders: Sequence[str | Path] = (),
    processes: int = 1,
    show: Callable[[str], None] = print,
    **settings: Any,
) -> ContestResult:
    """Compare an evolution with other pruners on a task, with equal training for all.

    Interrupted, the same call goes on where it was; methods, budgets and seeds may be added. The
    rules are those of ``python -m reports contest``.

    Parameters
    ----------
    task
        The task, or the function that makes it, as ``"trial.py:make_task"``.
    folder
        Folder for the records and the report; made where it does not exist.
    methods
        The evolution, and what it is compared with.
    budgets
        How many times less of the resource may be left, each above 1.
    seeds
        Each method runs once with each budget and seed.
    resource
        "parameters", "macs" or "latency".
    founders
        Files of founders, which seeds take in turn; by default three are trained as the task says,
        and kept in the folder.
    processes
        Cells at a time.
    show
        Takes a line for every cell that is done.
    **settings
        What differs from ``reports/contest/own.yml``: `search_epochs`, `final_epochs`,
        `learning_rate`, `learning_rates`.

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
    >>> result = nni_stress.compare("trial.py:make_task", "contest", seeds=[1])  # doctest: +SKIP
    >>> print(result)  # doctest: +SKIP
    """
    folder = Path(folder).resolve()
    own = isinstance(task, Task)
    if not own and not isinstance(task, str):
        raise TypeError(f"task must be an nni_stress.Task or name a function, but got {task!r}")
    content: dict[str, Any] = yaml.safe_load(_OWN.read_text(encoding="utf-8"))
    number = len(founders) or min(len(content["founders"]), len(seeds))
    begin_with(
        {
            **content,
            "task": _UNNAMED if own else task,
            "axes": {resource: {"budgets": list(budgets), "methods": list(methods)}},
            "founders": list(range(1, number + 1)),
            "seeds": list(seeds),
            "processes": processes,
            "threads": max(1, torch.get_num_threads() // processes),
            **settings,
        },
        folder,
    )
    failures = run_contest(folder, list(map(Path, founders)), show, task if own else None)
    for line in failures:
        show(f"warning: {line}")
    facts = compare_records(collect(folder))
    return ContestResult(facts, write_report(facts, folder))
