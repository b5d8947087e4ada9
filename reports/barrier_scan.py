"""Measures how long the tuner's barrier takes to look at a generation on disk.

    python -m reports.barrier_scan [--folder ON_THE_SHARED_STORAGE]

Whenever a trial ends, the tuner asks of every offspring of the generation whether it is recorded or
lost. This writes a generation of which a share is recorded, and measures that look. Run it on the
shared storage of the workers to know what it costs there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from nni_stress.lineage.store import Lineage, Record, uid_of


def simulate(lineage: Lineage, population: int, recorded: float) -> list[str]:
    """Record a share of one generation, with records of usual size and tiny networks.

    Parameters
    ----------
    lineage
        Where to record.
    population
        Offspring of the generation.
    recorded
        Share of them, from 0 to 1, the first ones.

    Returns
    -------
    list
        Names of all offspring.
    """
    uids = [uid_of(1, slot) for slot in range(population)]
    for uid in uids[: round(population * recorded)]:
        record = Record(
            uid=uid,
            generation=1,
            ancestor="g000-00",
            arguments=dict.fromkeys("abcdefgh", 0.123456789),
            validation=0.98,
            test=0.98,
            synapses=1,
            macs=1,
            efficiency=10.0,
            untrained=0.5,
            architecture={f"layer{number}": [20, 5, 5, 5] for number in range(5)},
            seconds={"recovery": 1.0},
        )
        lineage.add(record, _write_network)
    return uids


def _write_network(path: Path) -> None:
    path.write_bytes(b"network")


def look_seconds(lineage: Lineage, uids: list[str], times: int = 5) -> float:
    """Return the median seconds to ask of every offspring for its record or its failure."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        for uid in uids:
            if lineage.record(uid) is None:
                lineage.failure(uid)
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[times // 2]


def measure(parent: Path | None, population: int, recorded: float) -> dict[str, float | None]:
    """Measure one generation in a temporary folder; None as `parent` is the system's own."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        lineage = Lineage(folder)
        start = time.perf_counter()
        uids = simulate(lineage, population, recorded)
        add_seconds = (time.perf_counter() - start) / max(1, round(population * recorded))
        return {
            "population": population,
            "recorded": recorded,
            "look_seconds": round(look_seconds(lineage, uids), 4),
            "add_seconds": round(add_seconds, 4) if recorded else None,
        }


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.barrier_scan``: print the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="a folder of the storage to measure; default: the system's temporary folder",
    )
    options = parser.parse_args(arguments)
    rows = [
        measure(options.folder, population, recorded)
        for population in (100, 1000)
        for recorded in (0.0, 0.5, 1.0)
    ]
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
