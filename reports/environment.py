"""The machine and the versions of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def environment() -> dict[str, str]:
    """Return what measured seconds depend on: processor, cores, system and versions.

    Examples
    --------
    >>> sorted(environment())[:4]
    ['cores', 'nni', 'nni-stress', 'processor']
    """
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    processors = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    distributions = ("nni", "torch", "torchvision", "scipy", "nni-stress")
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processors[0] if processors else platform.machine(),
        "cores": str(os.cpu_count()),
        **{name: importlib.metadata.version(name) for name in distributions},
    }
