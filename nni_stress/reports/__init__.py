"""Contests, studies and benchmarks as ``nni_stress.reports``.

A wheel has the top-level folder ``reports/`` in this place (see ``package_dir`` in setup.py). In a
checkout this file stands in for it, so that both resolve the same imports and ``python -m`` names.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "reports")]
