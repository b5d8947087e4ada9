"""Where this package is, and files that only a checkout has: search spaces and results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_stress.utils.yaml_files import read_yaml

# "reports" in a checkout, "nni_stress.reports" in a wheel.
PACKAGE = __package__ or "nni_stress.reports"
RESULTS = Path(__file__).parent / "results"
_SPACES = Path(__file__).parents[1] / "search_spaces"


def search_space(name: str) -> dict[str, Any]:
    """Read one of the search spaces of a checkout.

    Parameters
    ----------
    name
        Name of the file, without its ending.

    Raises
    ------
    FileNotFoundError
        If this is not a checkout.
    """
    file = _SPACES / f"{name}.yml"
    if not file.is_file():
        raise FileNotFoundError(
            f"no search space at {file}: studies and benchmarks run in a checkout only"
        )
    return read_yaml(file)
