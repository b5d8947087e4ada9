"""Section: machine and versions of the contest, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from nni_stress.visualization.markup import Element, tag

from ..checkout import PACKAGE
from ..collect import Results
from ..compare import Comparison
from ..tables import markdown_list

_TITLE = "Environment, and how to repeat the contest"


def html(facts: Comparison) -> list[Element]:
    """Write the facts, the command, and links to the numbers."""
    rows = [
        tag("tr", tag("th", name, scope="row"), tag("td", value))
        for name, value in environment_facts(facts.results)
    ]
    numbers = tag(
        "p",
        "Every number: ",
        tag("a", "report.csv", href="report.csv"),
        ", ",
        tag("a", "report.json", href="report.json"),
        ".",
    )
    return [
        tag("h2", _TITLE),
        tag("table", tag("tbody", *rows), class_="facts"),
        tag("pre", repeat_command(facts.results)),
        numbers,
    ]


def markdown(facts: Comparison) -> list[str]:
    """Write the facts and the command."""
    lines = [f"{name}: {value}" for name, value in environment_facts(facts.results)]
    return [f"## {_TITLE}", markdown_list(lines), f"    {repeat_command(facts.results)}"]


def environment_facts(results: Results) -> list[tuple[str, str]]:
    """Return (name, value) of what the records say about machine and versions, task and seeds.

    Where the cells differ in a value, all values are named, with the number of cells of each.
    """
    names = dict.fromkeys(name for machine in results.environments for name in machine)
    task, arguments = results.contest.task, dict(results.contest.task_arguments)
    return [
        *((name, _values(results, name)) for name in names),
        ("task", f"{task} {arguments or ''}".strip()),
        ("seeds", ", ".join(map(str, results.contest.seeds))),
    ]


def _values(results: Results, name: str) -> str:
    cells = Counter(
        outcome.environment.get(name, "not recorded") for outcome in results.outcomes.values()
    )
    if len(cells) == 1:
        return next(iter(cells))
    return "; ".join(f"{value} ({number} cells)" for value, number in cells.items())


def repeat_command(results: Results) -> str:
    """Return the command that repeats the contest.

    Its paths are relative to the working folder where possible: others who get the page have
    other folders.
    """
    file = (results.folder / "contest.yml").resolve()
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"python -m {PACKAGE} contest {shlex.quote(str(shown))} --folder repeated"
