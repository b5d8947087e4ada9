"""What speed costs and brings: ratios of variants measured in turns, in one run on this machine.

    make bench                                  # all parts, four hours; writes results/bench.json
    python -m reports.bench synthesis growth    # some parts

Variants that are compared take turns, and the median of the ratios of the turns counts, so that
other work on the machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch

from nni_stress.utils.atomic_files import read_json, write_json

from ..checkout import RESULTS
from ..environment import environment
from .device import device
from .engines import engines, thirty_three
from .evolutions import SEEDS, ending, overhead
from .masking import masking
from .records import records
from .steps import steps
from .synthesis import growth, synthesis

RESULT = RESULTS / "bench.json"
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "steps": steps,
    "gpu": functools.partial(steps, "cuda"),
    "synthesis": synthesis,
    "overhead": overhead,
    "masking": masking,
    "engines": engines,
    "thirty-three": thirty_three,
    "device": device,
    "growth": growth,
    "records": records,
}
BY_SEED: dict[str, Callable[..., Iterable[dict[str, Any]]]] = {
    "ending": ending,
    "ending-random": functools.partial(ending, "Random"),
}
ALL = [*PARTS, *BY_SEED]


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.bench``: print the figures, and add them to the file of results."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    results = read_json(RESULT) if RESULT.exists() else {}
    for part in options.parts:
        for figures in _measure(part, options.seeds):
            known = results.get(part, {}) if part in BY_SEED else {}
            results[part] = {**known, **figures}
            results.setdefault("environments", {})[part] = {
                **environment(),
                "threads": str(options.threads),
                **({"gpu": torch.cuda.get_device_name()} if part == "gpu" else {}),
            }
            write_json(RESULT, results)
            for name, measured in figures.items():
                print(f"{part}: {name}: {measured}", flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(ALL)}; default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=SEEDS,
        help=f"seeds of {' and '.join(BY_SEED)}, a quarter of an hour each; others are kept",
    )
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in ALL]
    if unknown:
        parser.error(f"parts are {', '.join(ALL)}, but got {unknown[0]!r}")
    has_gpu = torch.cuda.is_available()
    if "gpu" in options.parts and not has_gpu:
        parser.error("part 'gpu' needs a GPU that PyTorch can use, but there is none")
    options.parts = options.parts or [part for part in ALL if part != "gpu" or has_gpu]
    return options


def _measure(part: str, seeds: Iterable[int]) -> Iterable[dict[str, Any]]:
    return BY_SEED[part](seeds=seeds) if part in BY_SEED else [PARTS[part]()]


if __name__ == "__main__":
    main()
