"""Where this package is, and files that only a checkout has: search spaces and results."""

from __future__ import annotations

import hashlib
import subprocess
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


def commit() -> str:
    """Return the commit that is checked out, and a digest of what was changed in the code since.

    Examples
    --------
    >>> len(commit()) >= 7
    True
    """
    head = _git("rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    changes = _git("diff", "HEAD", "--", "*.py")
    if not changes:
        return head
    digest = hashlib.blake2b(changes.encode(), digest_size=4).hexdigest()
    return f"{head} with changes {digest}"


def _git(*arguments: str) -> str | None:
    """Return what git prints, run in this checkout; None if it is none."""
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
