"""Section: chart of the evolution and of NNI's own pruners."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ..compare import Comparison
from ..contest import builtin_methods
from ..frontier_chart import frontier_figure


def html(facts: Comparison) -> list[Element]:
    """Draw test fidelity against efficiency."""
    return frontier_figure(facts, "NNI's own pruners", builtin_methods(facts.methods))


def markdown(facts: Comparison) -> list[str]:
    """Return nothing: a chart has no Markdown."""
    return []
