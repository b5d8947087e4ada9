"""What stragglers cost, simulated: `python -m reports.stragglers`. Used by docs/results/many-machines.md.

A generation's offspring take lognormal times around 1; a share of the workers is slow. NNI hands an offspring to the
workers in turn, busy or not, whenever one has ended; offspring on one worker share it. A generation closes when a share of
its offspring (the quorum) has ended; the others are ended then, and their workers are free for the next.
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
    slow: list[float],
    random_: random.Random,
) -> tuple[float, float]:
    """How long one generation takes, and the work done in it that counted, in mean offspring times."""
    work = [random_.lognormvariate(-(spread**2) / 2, spread) for _ in range(population)]
    left: dict[int, float] = {}
    on = [0] * workers
    clock = counted = 0.0
    started = ended = 0
    needed = math.ceil(quorum * population)
    while ended < needed:
        while started < population and len(left) < workers:
            left[started] = work[started]
            on[started % workers] += 1
            started += 1
        speed = {
            offspring: 1 / (on[offspring % workers] * slow[offspring % workers])
            for offspring in left
        }
        first = min(left, key=lambda offspring: left[offspring] / speed[offspring])
        passed = left[first] / speed[first]
        left = {
            offspring: rest - passed * speed[offspring]
            for offspring, rest in left.items()
            if offspring != first
        }
        on[first % workers] -= 1
        clock, ended, counted = clock + passed, ended + 1, counted + work[first]
    return clock, counted


def simulate(
    workers: int,
    population: int,
    quorum: float,
    slow_share: float,
    spread: float = 0.3,
    slowness: float = 3.0,
    generations: int = 60,
    seed: int = 1,
) -> dict:
    """Mean time of a generation, and the share of all workers' time that made offspring which counted."""
    random_ = random.Random(seed)
    slow = [slowness if worker < slow_share * workers else 1.0 for worker in range(workers)]
    runs = [
        generation_time(workers, population, quorum, spread, slow, random_)
        for _ in range(generations)
    ]
    clock, counted = (sum(column) for column in zip(*runs))
    return {
        "workers": workers,
        "population": population,
        "quorum": quorum,
        "slow_share": slow_share,
        "generation_time": round(clock / generations, 2),
        "used": round(counted / (clock * workers), 2),
    }


def main() -> None:
    for slow_share in (0.0, 0.02):
        for population in (100, 200, 400):
            for quorum in (1.0, 0.95, 0.9, 0.8):
                print(json.dumps(simulate(100, population, quorum, slow_share)))


if __name__ == "__main__":
    main()
