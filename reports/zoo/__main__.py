"""Make every network of the zoo small, and say what has become of it.

    make zoo                                        # everything; writes results/zoo.json
    python -m reports.zoo --tools budget --only resnet18 "U-Net"

Each network is made small by each tool in a process of its own. An interrupted run goes on where it
stopped; what was measured at another commit, or on another machine, is measured anew.
"""

from __future__ import annotations

import argparse
import importlib.metadata
from pathlib import Path
from typing import Any

from ..checkout import RESULTS, commit
from ..environment import environment
from .networks import NETWORKS
from .preparing import SEED
from .running import ENTRIES, in_a_process, run
from .tools import PACKAGES, TOOLS

RESULT = RESULTS / "zoo.json"
_DISTRIBUTIONS = (
    *("timm", "transformers", "ultralytics-opencv-headless", "ultralytics"),
    *("segmentation-models-pytorch", "torch-pruning"),
)


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.zoo``: measure, and print a line for each network and tool."""
    options = _options(arguments)
    # Structures are for the tools that say what a small network should compute.
    jobs = [
        (name, tool)
        for tool in options.tools
        for name in options.only or ENTRIES
        if name in NETWORKS or tool not in PACKAGES
    ]
    for name, tool, found in run(
        options.record,
        jobs,
        {**environment(), **_settings(options.limit)},
        lambda name, tool: in_a_process(name, tool, options.limit),
        options.again,
    ):
        print(f"{name}, {tool}: {_line(found)}", flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m reports.zoo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["run"], default="run")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), metavar="TOOL")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the networks")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each measurement")
    parser.add_argument("--again", action="store_true", help="also what is in the record")
    parser.add_argument("--record", type=Path, default=RESULT, help="the file of the record")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.only or () if name not in ENTRIES]
    if unknown:
        parser.error(f"no network {unknown[0]!r}; there are {', '.join(ENTRIES)}")
    return options


def _settings(limit: float) -> dict[str, str]:
    versions = {}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        **versions,
        "commit": commit(),
        "threads": "1",
        "seed": str(SEED),
        "limit": f"{limit:g} s",
    }


def _line(found: dict[str, Any]) -> str:
    if not found["ok"]:
        return f"FAILED: {found['error']}"
    return ", ".join(
        (
            f"MACs {found['macs']:.3f}",
            f"parameters {found['parameters']:.3f}",
            f"difference {found['difference']}",
            f"other batch {found['other_batch']}",
            f"{found['seconds']} s",
            f"{found['megabytes']} MB",
        )
    )


if __name__ == "__main__":
    main()
