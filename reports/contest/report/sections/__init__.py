"""The sections of a contest's page, one module each.

To add a section, write ``reports/contest/report/sections/NAME.py`` with two functions and name it
in :data:`SECTIONS`::

    def html(facts: Comparison) -> list[Element]: ...  # the section on the HTML page
    def markdown(facts: Comparison) -> list[str]: ...  # its paragraphs in the Markdown twin

Either may return an empty list: a chart has no Markdown, and a section without facts is left out.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from nni_stress.visualization.markup import Element

from ..facts import Comparison

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
    """What a module of this package provides."""

    def html(self, facts: Comparison) -> list[Element]:
        """Return the section's elements on the HTML page."""

    def markdown(self, facts: Comparison) -> list[str]:
        """Return the section's paragraphs in the Markdown twin."""


def sections() -> list[Section]:
    """Import all sections, in the order of the page."""
    return [cast(Section, importlib.import_module(f".{name}", __name__)) for name in SECTIONS]
