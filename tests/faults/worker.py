"""Runs one experiment with its faults in a process of its own.

    python -m tests.faults.worker FOLDER SEED PORT KIND [KIND ...]

It prints a JSON object as its last line: the outcome, and what each fault did.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.faults.disks import unmount
from tests.faults.experiment import FAILURES, FaultyExperiment
from tests.faults.processes import kill_all
from tests.faults.registry import NONE, Kind, Skipped, kinds

WAIT = 20  # seconds that a fault waits for its target, such as a running trial


def run_experiment(folder: Path, seed: int, port: int, plan: list[Kind]) -> dict[str, Any]:
    """Run an experiment with its faults.

    Returns
    -------
    dict
        The outcome of the whole ("held" or "FAILED: ..."), the reasons for which it ended in ERROR
        on the way, and the faults.
    """
    run = FaultyExperiment(folder, seed, port)
    same_records = all(kind.same_records for kind in plan)
    faults: list[dict[str, Any]] = []
    try:
        outcome = _course(run, plan, same_records, faults)
    except FAILURES as error:
        outcome = f"FAILED: {type(error).__name__}: {error}"
    finally:
        try:
            run.end()
        except FAILURES as error:
            outcome = f"FAILED: {error}"
            kill_all(run.folder)
        for mounted in (run.folder / "disk", run.folder / "nni"):
            if mounted.is_mount():
                unmount(mounted)
    return {"outcome": outcome, "reasons": run.reasons, "faults": faults}


def _course(run: FaultyExperiment, plan: list[Kind], same_records: bool, faults: list) -> str:
    possible = []
    for kind in plan:
        try:
            if kind.prepare is not None:
                kind.prepare(run)
            possible.append(kind)
        except Skipped as reason:
            faults.append({"kind": kind.name, "did": f"skipped: {reason}"})
    if not possible:
        return "skipped"
    run.start()
    for kind in possible:
        run.wait_a_moment()
        run.snapshot.take()
        entry = {"kind": kind.name, "moment": run.moment()}
        begun = time.monotonic()
        try:
            entry["did"] = _inject(run, kind)
        except Skipped as reason:
            entry["did"] = f"skipped: {reason}"
        entry["generation"] = (run.lineage.read_state() or {}).get("generation")
        entry["seconds"] = round(time.monotonic() - begun, 1)
        faults.append(entry)
    run.wait_for_end()
    run.check(same_records)
    return "held"


def _inject(run: FaultyExperiment, kind: Kind) -> str:
    """Do it once there is something for it to happen to."""
    deadline = time.monotonic() + WAIT
    while True:
        did = kind.inject(run)
        if did is None:
            return "done"
        if did != NONE or time.monotonic() > deadline or run.status() in ("DONE", "ERROR"):
            return did
        time.sleep(0.2)


def main() -> None:
    folder, seed, port, *names = sys.argv[1:]
    known = kinds()
    result = run_experiment(Path(folder), int(seed), int(port), [known[name] for name in names])
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
