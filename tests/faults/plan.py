"""Which faults a campaign tries: its seed decides."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.processes import kill_all
from tests.faults.registry import NONE, Kind, Skipped
from tests.faults.simulated import Simulated

PER_EXPERIMENT = 6  # faults over the real manager
SHARE = 0.5  # of the faults that happen over the real manager
LIMIT = 2700  # seconds after which an experiment is ended; a worker itself sees where none goes on


@dataclass(frozen=True)
class Task:
    """One evolution and its faults.

    Parameters
    ----------
    number, seed
        Number in the campaign, and the seed of evolution and faults.
    kinds
        Its faults, in order: one where the manager is simulated.
    """

    number: int
    seed: int
    kinds: tuple[Kind, ...]

    def run(self, folder: Path, port: int) -> list[dict[str, Any]]:
        """Run it in a folder; return an entry of the record for each fault."""
        started = time.monotonic()
        found = self._simulate(folder) if self.kinds[0].simulated else self._real(folder, port)
        faults = found["faults"] or [{"kind": kind.name, "did": NONE} for kind in self.kinds]
        if found["outcome"].startswith("FAILED"):
            known = {fault["kind"] for fault in faults}
            faults += [
                {"kind": kind.name, "did": NONE} for kind in self.kinds if kind.name not in known
            ]
        common = {"task": self.number, "seed": self.seed, "outcome": found["outcome"]}
        took = round(time.monotonic() - started, 1)
        return [
            {**common, "reasons": found["reasons"], "seconds": took, **fault, "all": took}
            for fault in faults
        ]

    def _simulate(self, folder: Path) -> dict[str, Any]:
        (kind,) = self.kinds
        run = Simulated(folder / "lineage", self.seed, kind.same_records)
        did, outcome = NONE, "held"
        try:
            did = kind.inject(run) or "done"
        except Skipped as reason:
            did = f"skipped: {reason}"
        except (AssertionError, OSError, ValueError, EOFError) as error:
            outcome = f"FAILED: {type(error).__name__}: {error}"
        faults = [{"kind": kind.name, "did": did}]
        return {"outcome": outcome, "reasons": run.reasons, "faults": faults}

    def _real(self, folder: Path, port: int) -> dict[str, Any]:
        names = [kind.name for kind in self.kinds]
        arguments = [str(folder), str(self.seed), str(port), *names]
        failed = {"reasons": [], "faults": []}
        try:
            done = subprocess.run(
                [sys.executable, "-m", "tests.faults.worker", *arguments],
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired:
            kill_all(folder)
            return {**failed, "outcome": f"FAILED: it hangs for {LIMIT} s"}
        if done.returncode:
            kill_all(folder)
            return {**failed, "outcome": f"FAILED: {done.stderr.strip()[-500:]}"}
        return json.loads(done.stdout.splitlines()[-1])


def make_plan(kinds: list[Kind], faults: int, seed: int) -> list[Task]:
    """Plan a campaign.

    Over the real manager several faults share one experiment: those that lose offspring with their
    like, and those that change the experiment itself with two others that lose none.

    Parameters
    ----------
    kinds
        The kinds to choose from.
    faults
        How many faults.
    seed
        Decides which.
    """
    chance = random.Random(seed)
    simulated = [kind for kind in kinds if kind.simulated]
    real = [kind for kind in kinds if not kind.simulated]
    share = SHARE if simulated and real else float(bool(real))
    plans = _experiments(_draw(chance, real, round(share * faults)), real, chance)
    plans += [(kind,) for kind in _draw(chance, simulated, faults - round(share * faults))]
    chance.shuffle(plans)
    return [Task(number, 1000 * seed + number, plan) for number, plan in enumerate(plans)]


def _draw(chance: random.Random, kinds: list[Kind], count: int) -> list[Kind]:
    """Each kind equally often, in random order."""
    drawn: list[Kind] = []
    while kinds and len(drawn) < count:
        drawn += chance.sample(kinds, len(kinds))
    return drawn[:count]


def _experiments(
    drawn: list[Kind], kinds: list[Kind], chance: random.Random
) -> list[tuple[Kind, ...]]:
    alone = [kind for kind in drawn if kind.prepare is not None]
    losing = [kind for kind in drawn if kind.prepare is None and not kind.same_records]
    keeping = [kind for kind in drawn if kind.prepare is None and kind.same_records]
    plans = [(kind, *(keeping.pop() for _ in range(2) if keeping)) for kind in alone]
    for group in (losing, keeping):
        chance.shuffle(group)
        plans += [
            tuple(group[start : start + PER_EXPERIMENT])
            for start in range(0, len(group), PER_EXPERIMENT)
        ]
    return plans
