"""Figures of reports; the frontier is drawn by the package itself, as the demo shows it too."""

from nni_stress.visualization.frontier import FrontierFacts, draw_frontier, frontier_facts

__all__ = ["FrontierFacts", "draw_frontier", "frontier_facts"]
