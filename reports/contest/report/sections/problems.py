"""Section: records that cannot be used."""

from __future__ import annotations

from nni_stress.visualization.markup import Element, tag

from ....markdown import markdown_list
from ..facts import Comparison

_TITLE = "Records that cannot be used"


def html(facts: Comparison) -> list[Element]:
    """Write a line for each problem; nothing where there is none."""
    problems = facts.results.problems
    if not problems:
        return []
    lines = tag("ul", *(tag("li", line) for line in problems), class_="problems")
    return [tag("h2", _TITLE), lines]


def markdown(facts: Comparison) -> list[str]:
    """Write a line for each problem; nothing where there is none."""
    problems = facts.results.problems
    return [f"## {_TITLE}", markdown_list(problems)] if problems else []
