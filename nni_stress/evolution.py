"""Evolution: fitness, who survives, and when a lineage ends. Pure functions over records; no torch, no NNI."""
from __future__ import annotations

import math
from typing import NamedTuple, Sequence

from .lineage import Record


class Rules(NamedTuple):
    """The rules of one evolution.

    Parameters
    ----------
    generations
        Most generations after the founder.
    tolerance
        Loss of validation fidelity against the founder that a survivor may have, in the unit of fidelity.
    target_efficiency
        The lineage ends once a survivor has this architecture efficiency; None: never.
    patience
        How often in a row the lineage may go back to its last good ancestor, each time with a gentler environment.
    """

    generations: int
    tolerance: float
    target_efficiency: float | None
    patience: int = 2


class Plan(NamedTuple):
    """What comes next: the ancestor of the coming generation and how gentle its environment is, or the end."""

    ancestor: str
    gentleness: int
    end: str | None


def fitness(record: Record, ancestor: Record, tolerance: float) -> float:
    """Natural logarithm of the gain in efficiency, less the loss of fidelity in tolerances, both since the ancestor.

    Relative to the ancestor, so that it compares across generations and the search learns from all of them.
    """
    gain = math.log(record.efficiency / ancestor.efficiency)
    loss = (ancestor.validation - record.validation) / tolerance if tolerance else 0.0
    return gain - loss


def faithful(record: Record, founder: Record, tolerance: float) -> bool:
    """Whether the record keeps the founder's validation fidelity within the tolerance (rounding aside)."""
    return record.validation >= founder.validation - tolerance - 1e-9


def survivor(generation: Sequence[Record], ancestor: Record, founder: Record, tolerance: float) -> Record | None:
    """The most efficient faithful offspring that is smaller than its ancestor; of equals the one of higher fidelity."""
    good = [r for r in generation if faithful(r, founder, tolerance) and r.synapses < ancestor.synapses]
    return max(good, key=lambda r: (r.efficiency, r.validation, r.uid), default=None)


def by_generation(records: Sequence[Record]) -> list[list[Record]]:
    """Records, grouped by generation, the founder's first."""
    last = max((record.generation for record in records), default=-1)
    return [[record for record in records if record.generation == number] for number in range(last + 1)]


def survivors(generations: Sequence[Sequence[Record]], tolerance: float) -> list[Record | None]:
    """The founder, then the survivor of each generation, or None where none kept the fidelity."""
    founder = best = generations[0][0]
    fittest: list[Record | None] = [founder]
    for generation in generations[1:]:
        fittest.append(survivor(generation, best, founder, tolerance))
        best = fittest[-1] or best
    return fittest


def plan(generations: Sequence[Sequence[Record]], rules: Rules) -> Plan:
    """What follows the generations so far.

    Parameters
    ----------
    generations
        Records of the generations that ended, the founder's first; lost offspring are absent.
    rules
        The rules of the evolution.
    """
    fittest = survivors(generations, rules.tolerance)
    best = [record for record in fittest if record is not None][-1]
    weak = len(generations) - 1 - best.generation
    end = None
    if rules.target_efficiency is not None and best.efficiency >= rules.target_efficiency:
        end = f"target efficiency reached: {best.efficiency:.1f}x"
    elif len(generations) > rules.generations:
        end = f"all {rules.generations} generations done"
    elif weak > rules.patience:
        end = f"no gentler environment helped in {weak} generations"
    return Plan(best.uid, weak, end)


def gentler(environmental_factor: float, gentleness: int) -> float:
    """The environmental factor after `gentleness` retreats: each takes its square root, half the way to 1 in log."""
    return environmental_factor ** (0.5 ** gentleness)


def frontier(records: Sequence[Record]) -> list[Record]:
    """All records that no other beats in both validation fidelity and efficiency, the most efficient first."""
    kept, best = [], -math.inf
    for record in sorted(records, key=lambda r: (-r.efficiency, -r.validation)):
        if record.validation > best:
            kept.append(record)
            best = record.validation
    return kept
