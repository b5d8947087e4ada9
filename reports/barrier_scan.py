"""Seconds of the barrier's look at a generation on disk: `python -m reports.barrier_scan [--folder ON_THE_SHARED_STORAGE]`.

At each ended trial the tuner asks of every offspring of the generation whether it is recorded or lost; this simulates
a generation, part of it recorded, and measures that look. Run it on the shared storage to know what that costs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from nni_stress.lineage.store import Lineage, Record, uid_of


def simulate(lineage: Lineage, population: int, recorded: float) -> list[str]:
    """Offspring of one generation, the first share of them with a record of usual size and a tiny network; their names."""
    uids = [uid_of(1, slot) for slot in range(population)]
    for uid in uids[: round(population * recorded)]:
        record = Record(
            uid=uid,
            generation=1,
            ancestor="g000-00",
            arguments=dict(zip("abcdefgh", [0.123456789] * 8)),
            validation=0.98,
            test=0.98,
            synapses=1,
            macs=1,
            efficiency=10.0,
            untrained=0.5,
            architecture={f"layer{n}": [20, 5, 5, 5] for n in range(5)},
            seconds={"recovery": 1.0},
        )
        lineage.add(record, lambda path: path.write_bytes(b"network"))
    return uids


def look_seconds(lineage: Lineage, uids: list[str], times: int = 5) -> float:
    """Median seconds to ask of every offspring whether its record or its failure is there."""
    taken = []
    for _ in range(times):
        clock = time.perf_counter()
        for uid in uids:
            if lineage.record(uid) is None:
                lineage.failure(uid)
        taken.append(time.perf_counter() - clock)
    return sorted(taken)[times // 2]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="a folder of the storage to measure; default: the temporary one"
    )
    options = parser.parse_args(arguments)
    rows = []
    for population in (100, 1000):
        for recorded in (0.0, 0.5, 1.0):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                lineage = Lineage(folder)
                clock = time.perf_counter()
                uids = simulate(lineage, population, recorded)
                added = (time.perf_counter() - clock) / max(1, round(population * recorded))
                rows.append(
                    {
                        "population": population,
                        "recorded": recorded,
                        "look_seconds": round(look_seconds(lineage, uids), 4),
                        "add_seconds": round(added, 4) if recorded else None,
                    }
                )
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
