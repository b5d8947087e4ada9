"""How a trial that is checked before its experiment starts tells what was found.

This module imports neither torch nor NNI, as every trial asks it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Finding

REPORT = "NNI_STRESS_CHECK_REPORT"  # names the file to which the trial writes


def is_wanted() -> bool:
    """Whether this process is to check its task briefly, and end.

    Examples
    --------
    >>> is_wanted()
    False
    """
    return REPORT in os.environ


def tell(finding: Finding) -> None:
    """Write a fault, at once, as this process may not have the time to finish."""
    if finding.state == "fault":
        with open(os.environ[REPORT], "a", encoding="utf-8") as file:
            file.write(f"{finding.text}\n")
