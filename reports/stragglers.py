"""Simulates the cost of stragglers (docs/results/many-machines.md): `python -m reports.stragglers`.

The offspring of a generation take lognormal times around 1, and a share of the workers is slow.
Whenever an offspring has ended, NNI hands the next one to the workers in turn, whether busy or not;
offspring on one worker share its speed. A generation closes when a share of its offspring (the
quorum) has ended. The others are then stopped, and their workers are free for the next generation.
"""

from __future__ import annotations

import json
import math
import random


def generation_time(
    workers: int,
    population: int,
    quorum: float,
    spread: float,
    slowness: list[float],
    rng: random.Random,
) -> tuple[float, float]:
    """Simulate one generation.

    Parameters
    ----------
    workers, population
        Numbers of workers and offspring.
    quorum
        Share of the offspring that closes the generation.
    spread
        Standard deviation of the logarithm of the offspring's times.
    slowness
        Of each worker, 1 being the usual speed.
    rng
        Source of the times.

    Returns
    -------
    tuple
        Duration of the generation, and work done for offspring that ended, in mean times of an
        offspring.
    """
    work = [rng.lognormvariate(-(spread**2) / 2, spread) for _ in range(population)]
    remaining: dict[int, float] = {}  # {offspring: work left}
    load = [0] * workers  # offspring on each worker
    clock = useful = 0.0
    started = ended = 0
    while ended < math.ceil(quorum * population):
        while started < population and len(remaining) < workers:
            remaining[started] = work[started]
            load[started % workers] += 1
            started += 1
        speed = {
            offspring: 1 / (load[offspring % workers] * slowness[offspring % workers])
            for offspring in remaining
        }
        next_end = min(remaining, key=lambda offspring: remaining[offspring] / speed[offspring])
        passed = remaining.pop(next_end) / speed[next_end]
        remaining = {
            offspring: left - passed * speed[offspring] for offspring, left in remaining.items()
        }
        load[next_end % workers] -= 1
        clock += passed
        useful += work[next_end]
        ended += 1
    return clock, useful


def simulate(
    workers: int,
    population: int,
    quorum: float,
    slow_share: float,
    spread: float = 0.3,
    slowness: float = 3.0,
    generations: int = 60,
    seed: int = 1,
) -> dict[str, float]:
    """Simulate generations of one setting.

    Returns
    -------
    dict
        The setting; ``generation_time``, the mean duration of a generation; ``used``, the share of
        all workers' time that went into offspring that ended.

    Examples
    --------
    >>> simulate(2, 4, 1.0, 0.0, spread=0.0, generations=2)["generation_time"]
    2.0
    """
    rng = random.Random(seed)
    by_worker = [slowness if worker < slow_share * workers else 1.0 for worker in range(workers)]
    runs = [
        generation_time(workers, population, quorum, spread, by_worker, rng)
        for _ in range(generations)
    ]
    clock, useful = (sum(column) for column in zip(*runs))
    return {
        "workers": workers,
        "population": population,
        "quorum": quorum,
        "slow_share": slow_share,
        "generation_time": round(clock / generations, 2),
        "used": round(useful / (clock * workers), 2),
    }


def main() -> None:
    """Print a line of JSON for each setting."""
    for slow_share in (0.0, 0.02):
        for population in (100, 200, 400):
            for quorum in (1.0, 0.95, 0.9, 0.8):
                print(json.dumps(simulate(100, population, quorum, slow_share)))


if __name__ == "__main__":
    main()
