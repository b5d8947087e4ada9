"""What speed costs and brings: ratios taken side by side in one run, on this machine.

    make bench                                  # all of it, for some four hours; writes reports/results/bench.json
    python -m reports.bench synthesis growth    # parts of it

What is compared takes turns, and the median of the turns' ratios counts: whatever else the machine does slows all alike.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import torch

from nni_stress.utils.atomic_files import read_json, write_json

from ..environment import environment
from .engines import engines, thirty_three
from .evolutions import SEEDS, ending, overhead
from .masking import masking
from .records import records
from .steps import steps
from .synthesis import growth, synthesis

RESULT = Path(__file__).parents[1] / "results" / "bench.json"
PARTS = {
    "steps": steps,
    "gpu": functools.partial(steps, "cuda"),
    "synthesis": synthesis,
    "overhead": overhead,
    "masking": masking,
    "engines": engines,
    "thirty-three": thirty_three,
    "growth": growth,
    "records": records,
}
BY_SEED = {"ending": ending, "ending-random": functools.partial(ending, "Random")}
ALL = [*PARTS, *BY_SEED]


def main(arguments: list[str] | None = None) -> None:
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
        help=f"of {' and '.join(BY_SEED)}, a quarter of an hour each; those on record stay",
    )
    options = parser.parse_args(arguments)
    unknown = [part for part in options.parts if part not in ALL]
    if unknown:
        parser.error(f"parts are {', '.join(ALL)}, but got {unknown[0]!r}")
    torch.set_num_threads(options.threads)
    found = read_json(RESULT) if RESULT.exists() else {}
    gpu = torch.cuda.is_available()
    if "gpu" in options.parts and not gpu:
        parser.error("part 'gpu' needs a GPU that PyTorch can use, but there is none")
    for part in options.parts or [part for part in ALL if part != "gpu" or gpu]:
        known = found.get(part, {}) if part in BY_SEED else {}
        for figures in BY_SEED[part](options.seeds) if part in BY_SEED else [PARTS[part]()]:
            found[part] = known = {**known, **figures}
            found.setdefault("environments", {})[part] = {
                **environment(),
                "threads": str(options.threads),
                **({"gpu": torch.cuda.get_device_name()} if part == "gpu" else {}),
            }
            write_json(RESULT, found)
            for name, measured in figures.items():
                print(f"{part}: {name}: {measured}", flush=True)


if __name__ == "__main__":
    main()
