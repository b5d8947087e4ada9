"""Section: chart of the evolution and of its ablations."""

from __future__ import annotations

from nni_stress.visualization.markup import Element

from ..compare import Comparison
from ..contest import EVOLUTION, evolution_methods
from ..frontier_chart import frontier_figure


def html(facts: Comparison) -> list[Element]:
    """Draw test fidelity against efficiency."""
    ablations = [method for method in evolution_methods(facts.methods) if method != EVOLUTION]
    return frontier_figure(facts, "its own ablations", ablations)


def markdown(facts: Comparison) -> list[str]:
    """Return nothing: a chart has no Markdown."""
    return []
