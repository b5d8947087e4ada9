"""The machine and the versions of a run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def environment() -> dict[str, str]:
    """What a reader must know to judge the seconds."""
    processor = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = {
        name: importlib.metadata.version(name)
        for name in ("nni", "torch", "torchvision", "scipy", "nni-stress")
    }
    return dict(
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor,
        cores=str(os.cpu_count()),
        **versions,
    )
