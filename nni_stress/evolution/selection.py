"""Evolution: fitness, who survives, and when a lineage ends. Pure functions over records; no torch, no NNI."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..lineage.store import Record
from ..utils.seeding import seed_of

RESOURCES = ("parameters", "macs", "latency")


class Rules(NamedTuple):
    """The rules of one evolution.

    Parameters
    ----------
    generations
        Most generations after the founder.
    tolerance
        Loss of validation fidelity against the founder that a survivor may have, in the unit of fidelity.
    target_efficiency
        The lineage ends once a survivor uses the resource so many times less than the founder; None: never. Efficiency
        beyond it counts for nothing, so that of those that reach it the one of highest fidelity survives.
    patience
        How often in a row the lineage may go back to its last good ancestors, each time with a gentler environment.
    survivors
        Most survivors of one generation.
    resource
        What is to be saved: "parameters", "macs" or "latency".
    constraints
        {resource: share of the founder's} that the final network must keep to.
    """

    generations: int
    tolerance: float
    target_efficiency: float | None = None
    patience: int = 2
    survivors: int = 1
    resource: str = "parameters"
    constraints: Mapping[str, float] = {}

    @classmethod
    def of(cls, state: Mapping) -> Rules:
        """The rules that a lineage's state names; a KeyError where one is missing."""
        return cls(**{name: state[name] for name in cls._fields})

    def resources(self) -> set[str]:
        """All that matters to this evolution."""
        return {self.resource, *self.constraints}


class Plan(NamedTuple):
    """What comes next: the ancestors of the coming generation and how gentle its environment is, or the end."""

    ancestors: list[str]
    gentleness: int
    end: str | None


def used(record: Record, founder: Record, resource: str) -> float:
    """Share of the founder's resource that a network uses."""
    if resource == "latency":
        return 1.0 if record.uid == founder.uid else record.latency
    return (
        record.synapses / founder.synapses
        if resource == "parameters"
        else record.macs / founder.macs
    )


def excess(record: Record, founder: Record, rules: Rules) -> float:
    """By how much a network misses the constraints: summed natural logarithms of used / allowed; 0 where all hold."""
    return sum(
        max(0.0, math.log(used(record, founder, resource) / allowed))
        for resource, allowed in rules.constraints.items()
    )


def efficiency(record: Record, founder: Record, rules: Rules) -> float:
    """How many times less of the resource a network uses than the founder."""
    return 1 / used(record, founder, rules.resource)


def wanted_efficiency(record: Record, founder: Record, rules: Rules) -> float:
    """The efficiency as far as it is wanted: up to the target."""
    return min(efficiency(record, founder, rules), rules.target_efficiency or math.inf)


def fitness(record: Record, ancestor: Record, founder: Record, rules: Rules) -> float:
    """Natural logarithm of the gain in efficiency, and of the way to the constraints, less the loss in tolerances.

    All since the ancestor, so that it compares across generations and the search learns from all of them. Where no loss
    is tolerated, losses count in hundredths. Of an offspring that was ended early, the forecast counts: the search would
    else take for weak what was but less efficient.
    """
    reached = record.validation if record.forecast is None else record.forecast
    gain = math.log(
        wanted_efficiency(record, founder, rules) / wanted_efficiency(ancestor, founder, rules)
    )
    nearer = excess(ancestor, founder, rules) - excess(record, founder, rules)
    return gain + nearer - (ancestor.validation - reached) / (rules.tolerance or 0.01)


def faithful(record: Record, founder: Record, tolerance: float) -> bool:
    """Whether the record keeps the founder's validation fidelity within the tolerance (rounding aside)."""
    return record.validation >= founder.validation - tolerance - 1e-9


def rank(record: Record, founder: Record, rules: Rules) -> tuple:
    """What survivors are chosen by, more being better: constraints first, then efficiency."""
    return -round(excess(record, founder, rules), 9), wanted_efficiency(record, founder, rules)


def select(
    generation: Sequence[Record], ancestors: Sequence[Record], founder: Record, rules: Rules
) -> list[Record]:
    """Who survives of a generation: the best of the faithful, the best first; of equals those of higher fidelity.

    An offspring must be better than its ancestor, and the best of them better than the best of all the ancestors.
    """
    known = {ancestor.uid: ancestor for ancestor in ancestors}

    def better(one, other):
        return rank(one, founder, rules) > rank(other, founder, rules)

    good = sorted(
        (
            r
            for r in generation
            if faithful(r, founder, rules.tolerance)
            and r.ancestor in known
            and better(r, known[r.ancestor])
        ),
        key=lambda r: (*rank(r, founder, rules), r.validation, r.uid),
        reverse=True,
    )
    return (
        good[: rules.survivors]
        if good and all(better(good[0], ancestor) for ancestor in ancestors)
        else []
    )


def by_generation(records: Sequence[Record]) -> list[list[Record]]:
    """Records, grouped by generation, the founder's first."""
    last = max((record.generation for record in records), default=-1)
    return [
        [record for record in records if record.generation == number] for number in range(last + 1)
    ]


def survivors(generations: Sequence[Sequence[Record]], rules: Rules) -> list[list[Record]]:
    """The founder, then the survivors of each generation, the best first; none where no offspring was good enough."""
    founder = generations[0][0]
    found, ancestors = [[founder]], [founder]
    for generation in generations[1:]:
        found.append(select(generation, ancestors, founder, rules))
        ancestors = found[-1] or ancestors
    return found


def line(generations: Sequence[Sequence[Record]], rules: Rules) -> list[Record]:
    """The founder and the best survivor of every generation that had one."""
    return [best[0] for best in survivors(generations, rules) if best]


def plan(generations: Sequence[Sequence[Record]], rules: Rules) -> Plan:
    """What follows the generations so far.

    Parameters
    ----------
    generations
        Records of the generations that ended, the founder's first; lost offspring are absent.
    rules
        The rules of the evolution.
    """
    found, founder = survivors(generations, rules), generations[0][0]
    ancestors = [records for records in found if records][-1]
    weak = len(generations) - 1 - ancestors[0].generation
    reached, missed = efficiency(ancestors[0], founder, rules), excess(ancestors[0], founder, rules)
    end = None
    if missed == 0 and rules.target_efficiency is not None and reached >= rules.target_efficiency:
        end = f"target efficiency reached: {reached:.1f}x"
    elif missed == 0 and rules.target_efficiency is None and rules.constraints:
        end = f"all constraints are kept, at {reached:.1f}x"
    elif len(generations) > rules.generations:
        end = f"all {rules.generations} generations done"
    elif weak > rules.patience:
        end = f"no gentler environment helped in {weak} generations"
    return Plan([record.uid for record in ancestors], weak, end)


def draw_ancestors(ancestors: Sequence[str], parents: int, seed: int, uid: str) -> list[str]:
    """The ancestors of one offspring, drawn without replacement among the survivors, the best first.

    Parameters
    ----------
    ancestors
        The survivors, the best first.
    parents
        How many ancestors an offspring has; it has fewer where fewer survived.
    seed, uid
        The evolution's seed and the offspring's name, which decide the draw.
    """
    drawn = random.Random(seed_of(seed, uid, "ancestors")).sample(
        range(len(ancestors)), min(parents, len(ancestors))
    )
    return [ancestors[index] for index in sorted(drawn)]


def gentler(environmental_factor: float, gentleness: int) -> float:
    """The environmental factor after `gentleness` retreats: each takes its square root, half the way to 1 in log."""
    return environmental_factor ** (0.5**gentleness)


def far_enough(
    environmental_factor: float, ancestors: Sequence[Record], founder: Record, rules: Rules
) -> float:
    """The environmental factor, or the larger one that leads right to the target efficiency."""
    if rules.target_efficiency is None or any(
        excess(ancestor, founder, rules) for ancestor in ancestors
    ):
        return environmental_factor
    uses = mean_used(ancestors, founder, rules.resource)
    return min(1.0, max(environmental_factor, 1 / (rules.target_efficiency * uses)))


def constrained(
    environmental_factor: float, ancestors: Sequence[Record], founder: Record, rules: Rules
) -> dict[str, float]:
    """Shares of their ancestors' resources that offspring may use for the sake of the constraints.

    Where a constraint is missed its resource is made scarce, though no scarcer than the one that is saved; what is kept
    stays kept. Latency is left out: what is measured goes with no other budget.
    """
    if rules.resource == "latency":
        return {}
    return {
        resource: min(
            1.0, max(environmental_factor, allowed / mean_used(ancestors, founder, resource))
        )
        for resource, allowed in sorted(rules.constraints.items())
        if resource not in (rules.resource, "latency")
    }


def mean_used(ancestors: Sequence[Record], founder: Record, resource: str) -> float:
    """Share of the founder's resource that an offspring's ancestors use, their mean."""
    return sum(used(ancestor, founder, resource) for ancestor in ancestors) / len(ancestors)


def frontier(records: Sequence[Record]) -> list[Record]:
    """All records that no other beats in both validation fidelity and efficiency, the most efficient first."""
    return unbeaten(records, lambda record: (record.efficiency, record.validation))


def unbeaten(items: Sequence, place: Callable[[Any], tuple[float, float]]) -> list:
    """All items, at places (efficiency, fidelity), that no other beats in both, the most efficient first."""
    kept, best = [], -math.inf
    for item in sorted(items, key=lambda one: tuple(-value for value in place(one))):
        if place(item)[1] > best:
            kept.append(item)
            best = place(item)[1]
    return kept
