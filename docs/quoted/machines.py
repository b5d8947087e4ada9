"""Evolutions on many machines: measured, extrapolated to a hundred workers, and simulated."""

from __future__ import annotations

import functools

from reports.markdown import markdown_table
from reports.stragglers import simulate

from .records import record

WORKERS = 100
_NFS_REQUEST = 0.5e-3  # seconds, assumed


def _manager(workers) -> dict:
    return next(one for one in record("many_machines")["manager"] if one["workers"] == workers)


def measured() -> str:
    """The manager and the trials, local and over SSH."""
    columns = ("local", 1, 2, 8)
    idle = {
        one["workers"]: one["mean_seconds"]
        for one in record("many_machines")["trial_of_nothing_but_nni"]
    }

    def row(label: str, written) -> list[str]:
        return [label, *(written(_manager(workers)) for workers in columns)]

    return markdown_table(
        ["", "local", "1 worker", "2 workers", "8 workers"],
        [
            row(
                "nnictl to the first trial", lambda one: f"{one['first_trial_after_seconds']:.1f} s"
            ),
            row("manager: peak memory", lambda one: f"{one['peak_megabytes']:.1f} MB"),
            row("manager: CPU time in all", lambda one: f"{one['cpu_seconds']:.2f} s"),
            row("trials of that experiment", lambda one: str(one["trials"])),
            row(
                "manager: open files, TCP connections",
                lambda one: f"{one['open_files']}, {one['connections']}",
            ),
            [
                "trial that only talks to NNI",
                *(f"{idle[one]:.1f} s" if one in idle else "not recorded" for one in columns),
            ],
        ],
    )


def barrier_scan() -> str:
    """The tuner's look at a whole generation on a local disk."""
    return markdown_table(
        ["offspring", "of them recorded", "time"],
        (
            [
                f"{one['population']:,}",
                f"{100 * one['recorded']:.0f} %",
                f"{1000 * one['look_seconds']:.0f} ms",
            ]
            for one in record("many_machines")["look_at_a_generation_on_local_disk"]
        ),
    )


def slope(name: str) -> float:
    """What one worker more adds to a figure of the manager, from 1 worker to 8."""
    return (_manager(8)[name] - _manager(1)[name]) / 7


def scan(population: int) -> tuple[float, float]:
    """Seconds of one look over NFS at a generation: nothing recorded, everything recorded."""
    return 2 * population * _NFS_REQUEST, 4 * population * _NFS_REQUEST


def extrapolated() -> str:
    """The manager of a hundred workers, and the tuner's looks at a generation over NFS."""
    found = record("many_machines")
    memory = _manager(1)["peak_megabytes"] + slope("peak_megabytes") * (WORKERS - 1)
    files, sockets = (
        (_manager(1)[name] + slope(name) * (WORKERS - 1)) for name in ("open_files", "connections")
    )
    upload = found["upload"]["bytes"]
    offspring = max(found["lineage_bytes"]["offspring"])
    rows = [
        ["manager's memory", f"{memory:.0f} MB", f"{slope('peak_megabytes'):.2f} MB a worker"],
        ["manager's open files, connections", f"{files:.0f}, {sockets:.0f}", "about 2 a worker"],
        [
            "manager's CPU time",
            f"{slope('cpu_seconds') * WORKERS:.0f} s once",
            f"{slope('cpu_seconds'):.2f} s a worker",
        ],
        [
            "upload of the trial's code",
            f"{upload * WORKERS / 1e6:.1f} MB",
            f"{upload / 1e3:.0f} kB a worker",
        ],
        [
            "storage, a generation of 100 offspring of LeNet-5",
            f"{offspring * 100 / 1e6:.0f} MB",
            "at most",
        ],
    ]
    for population in (100, 1000):
        low, high = scan(population)
        rows.append(
            [
                f"looks at a generation of {population:,} over NFS",
                f"{low:g} to {high:g} s each",
                f"{population * low / 60:.1f} to {population * high / 60:.1f} min a generation",
            ]
        )
    return markdown_table(["", "100 workers", ""], rows)


@functools.cache
def _simulation(population: int, quorum: float, slow_share: float) -> dict:
    return simulate(WORKERS, population, quorum, slow_share)


def time(quorum: float, slow_share: float) -> float:
    """Simulated time of a generation with as many offspring as workers."""
    return _simulation(WORKERS, quorum, slow_share)["generation_time"]


def workers() -> list[int]:
    """The numbers of workers that were measured."""
    return [
        one["workers"] for one in record("many_machines")["manager"] if one["workers"] != "local"
    ]


def _simulated(population: int, quorum: float, slow_share: float) -> str:
    found = _simulation(population, quorum, slow_share)
    return f"{found['generation_time']:.2f}, {100 * found['used']:.0f} %"


def stragglers() -> str:
    """Simulated time of a generation, and the share of the workers' time that counted."""
    cells = [(100, 1.0), (100, 0.95), (100, 0.9), (200, 1.0), (200, 0.95), (400, 1.0), (400, 0.95)]
    return markdown_table(
        ["offspring a generation", "quorum", "all workers alike", "two slow workers"],
        (
            [
                str(population),
                f"{quorum:g}",
                *(_simulated(population, quorum, slow) for slow in (0.0, 0.02)),
            ]
            for population, quorum in cells
        ),
    )
