"""The sections of a contest's page, one module each.

To add a section, write ``reports/contest/report/sections/NAME.py`` and name it in :data:`SECTIONS`.
A section of tables has one function; without tables it is left out::

    def block(facts: Comparison) -> Block: ...

Any other section has two, of which either may return an empty list: a chart has no Markdown::

    def html(facts: Comparison) -> list[Element]: ...  # the section on the HTML page
    def markdown(facts: Comparison) -> list[str]: ...  # its paragraphs in the Markdown twin
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol, cast

from nni_stress.visualization.markup import Element

from ..facts import Comparison
from ..tables import Block, html_block, markdown_block

# In the order of the page.
SECTIONS = (
    "frontiers",
    "fidelity",
    "differences",
    "equal_seconds",
    "costs",
    "uses",
    "final_training",
    "hyperparameters",
    "architectures",
    "cells",
    "problems",
    "environment",
)


class Section(Protocol):
    """How a section is written."""

    def html(self, facts: Comparison) -> list[Element]:
        """Return the section's elements on the HTML page."""

    def markdown(self, facts: Comparison) -> list[str]:
        """Return the section's paragraphs in the Markdown twin."""


class _Tables:
    """A section of tables, by the function that makes them."""

    def __init__(self, block: Callable[[Comparison], Block]):
        self._block = block

    def html(self, facts: Comparison) -> list[Element]:
        found = self._block(facts)
        return html_block(found) if found.tables else []

    def markdown(self, facts: Comparison) -> list[str]:
        found = self._block(facts)
        return markdown_block(found) if found.tables else []


def sections() -> list[Section]:
    """Import all sections, in the order of the page."""
    modules = [importlib.import_module(f".{name}", __name__) for name in SECTIONS]
    return [
        cast(Section, module) if hasattr(module, "html") else _Tables(module.block)
        for module in modules
    ]
