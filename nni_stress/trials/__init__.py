"""The example tasks as ``nni_stress.trials``.

A wheel has the top-level folder ``trials/`` in this place (see ``package_dir`` in setup.py). In a
checkout this file stands in for it, so that both resolve the same imports and ``python -m`` names.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / "trials")]
