"""Section: commit, machine and versions of the contest, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from nni_stress.utils.messages import short
from nni_stress.visualization.markup import Element, tag

from ....checkout import PACKAGE
from ....markdown import markdown_list
from ...records import Record, Results
from ..facts import Comparison

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
        tag("pre", repeat_command(facts.results), tabindex=0),
        numbers,
    ]


def markdown(facts: Comparison) -> list[str]:
    """Write the facts and the command."""
    lines = [f"{name}: {value}" for name, value in environment_facts(facts.results)]
    return [f"## {_TITLE}", markdown_list(lines), f"    {repeat_command(facts.results)}"]


def environment_facts(results: Results) -> list[tuple[str, str]]:
    """Return (name, value) of what the records say about where they come from, task and seeds.

    Where the cells differ in a value, all values are named, with the number of cells of each.
    """
    origins = [_origin(record) for record in results.records.values()]
    names = dict.fromkeys(name for origin in origins for name in origin)
    contest = results.contest
    return [
        *((name, _values(origins, name)) for name in names),
        ("task", f"{contest.task} {dict(contest.task_arguments) or ''}".strip()),
        ("founders", ", ".join(map(str, contest.founders))),
        ("seeds", ", ".join(map(str, contest.seeds))),
    ]


def _origin(record: Record) -> dict[str, str]:
    """What a record says of its origin, the environment spread out."""
    origin = dict(record.origin)
    environment = origin.pop("environment", {})
    spread = environment if isinstance(environment, Mapping) else {"environment": environment}
    return {
        str(name): value if isinstance(value, str) else short(value)
        for name, value in {**origin, **spread}.items()
    }


def _values(origins: list[dict[str, str]], name: str) -> str:
    cells = Counter(origin.get(name, "not recorded") for origin in origins)
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
