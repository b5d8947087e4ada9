"""The tables of hyperparameters and of StressTuner's arguments, from the code."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from nni_stress import hparams
from nni_stress.evolution import tuner_arguments as declarations
from reports.markdown import markdown_table

HEAD = ["name", "default", "allowed", "meaning"]


def written(value: Any) -> str:
    """A default as an experiment's file has it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def hyperparameters() -> str:
    """All hyperparameters of an offspring."""
    return _declared(hparams.argument_rows())


def tuner_arguments() -> str:
    """All of StressTuner's arguments."""
    return _declared(declarations.argument_rows())


def _declared(rows: Iterable[Any]) -> str:
    """Rows that the code provides for documentation: name, default, bounds, meaning."""
    return markdown_table(HEAD, ([f"`{row.name}`", *row[1:]] for row in rows))


def documented(owner: type) -> dict[str, str]:
    """The parameters that a numpydoc docstring describes: {name: its description on one line}."""
    section = re.search(
        r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", inspect.getdoc(owner), re.M | re.S
    )
    if section is None:
        raise ValueError(f"the docstring of {owner.__name__} has no section Parameters")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section[1].splitlines():
        if line and not line[0].isspace():
            names = [name.strip(" *") for name in line.split(":")[0].split(",")]
            found.update(dict.fromkeys(names, ""))
        elif line.strip():
            found.update({name: f"{found[name]} {line.strip()}".strip() for name in names})
    return found
