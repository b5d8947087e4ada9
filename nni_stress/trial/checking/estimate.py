"""What an evolution will cost, from single steps that were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...evolution.early_stopping import CHECKS
from ..norms import BATCHES
from .plan import Plan


@dataclass
class Measured:
    """What the steps of a check took.

    Parameters
    ----------
    start
        Seconds until a trial begins: imports, and making the task.
    founder, stress, recovery
        Seconds of one optimizer step of the founder, of the founder under stress, and of an
        offspring.
    synthesis
        Seconds in which an offspring is drawn and synthesized.
    candidate
        Seconds in which one more architecture is judged.
    validation, test
        Seconds of one judgement of the founder on a split.
    network_bytes, offspring_bytes
        Size of the founder's and of an offspring's file.
    memory_bytes
        Memory of this process at its peak; of the GPU where it computes on one.

    Examples
    --------
    >>> Measured(founder=0.1).founder
    0.1
    """

    start: float = 0.0
    founder: float = 0.0
    stress: float = 0.0
    recovery: float = 0.0
    synthesis: float = 0.0
    candidate: float = 0.0
    validation: float = 0.0
    test: float = 0.0
    network_bytes: int = 0
    offspring_bytes: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Estimate:
    """What an evolution will cost.

    Later generations are taken to be as slow as the first one's offspring, so that most evolutions
    take less.

    Parameters
    ----------
    seconds
        Of the whole evolution.
    founder_seconds
        Of the founder's training; 0 if it is read from a file.
    offspring_seconds
        Of one offspring of the first generation.
    memory_bytes
        Of one trial, in memory of the GPU where it computes on one.
    disk_bytes
        Of all networks, and of the snapshots of trainings under way.

    Examples
    --------
    >>> print(Estimate(95, 20, 15, 2**28, 2**20))
    about 2 min (founder 20 s, an offspring 15 s), 268 MB memory for each trial, 1 MB disk
    """

    seconds: float
    founder_seconds: float
    offspring_seconds: float
    memory_bytes: int
    disk_bytes: int

    def __str__(self) -> str:
        return (
            f"about {duration(self.seconds)} (founder {duration(self.founder_seconds)}, "
            f"an offspring {duration(self.offspring_seconds)}), "
            f"{size(self.memory_bytes)} memory for each trial, {size(self.disk_bytes)} disk"
        )


def estimate(
    plan: Plan, measured: Measured, founder_epochs: float, batches: int, norms: bool
) -> Estimate:
    """What an evolution will cost.

    Parameters
    ----------
    plan
        The evolution.
    measured
        What single steps took.
    founder_epochs
        Length of the founder's training, in epochs; 0 if it is read from a file.
    batches
        Number of batches of an epoch.
    norms
        Whether the network has batch norms, whose statistics are estimated after synthesis.

    Examples
    --------
    >>> measured = Measured(founder=0.1, stress=0.1, recovery=0.1)
    >>> estimate(Plan(), measured, founder_epochs=1, batches=10, norms=False).founder_seconds
    1.0
    """
    arguments = plan.arguments
    smaller = min(1.0, measured.recovery / measured.founder) if measured.founder else 1.0
    founder = measured.start + founder_epochs * batches * measured.founder
    founder += (math.ceil(founder_epochs) + 1) * measured.validation + measured.test
    recovery = plan.mean("recovery_epochs") * batches * measured.recovery
    recovery += ((CHECKS + 1) * measured.validation + measured.test) * smaller
    recovery += min(BATCHES, batches) * measured.recovery / 3 if norms else 0.0  # no way back
    synthesis = measured.synthesis + (plan.mean("candidates") - 1) * measured.candidate
    stress = plan.mean("stress_epochs") * batches * measured.stress + synthesis
    rounds = math.ceil(arguments.population_size / plan.concurrency)
    first = measured.start + stress + recovery
    later = measured.start + stress * smaller + recovery
    maturation = 0.0
    if arguments.maturation_epochs:
        maturation = measured.start + arguments.maturation_epochs * (
            batches * measured.recovery + measured.validation * smaller
        )
    offspring = arguments.generations * arguments.population_size
    snapshots = 3 * measured.network_bytes * plan.concurrency  # weights, and two moments of Adam
    return Estimate(
        founder + rounds * (first + (arguments.generations - 1) * later) + maturation,
        founder,
        first,
        measured.memory_bytes,
        measured.network_bytes + offspring * measured.offspring_bytes + snapshots,
    )


def duration(seconds: float) -> str:
    """Seconds, as people say them.

    Examples
    --------
    >>> duration(0.2), duration(75), duration(900), duration(9000), duration(9e5)
    ('under 1 s', '75 s', '15 min', '2.5 h', '10 days')
    """
    if seconds < 1:
        return "under 1 s"
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            number = seconds / length
            return f"{number:.1f} {unit}" if unit == "h" and number < 10 else f"{number:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def size(count: float) -> str:
    """A number of bytes, as people say it.

    Examples
    --------
    >>> size(1234567), size(5e9)
    ('1 MB', '5.0 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{max(count / 1e6, 1):.0f} MB"
