"""Single figures that sentences quote, computed from the records."""

from __future__ import annotations

from . import machines
from .records import bench, fixed, percent, record


def lost_points(name: str, digits: int) -> str:
    """Test fidelity that the last survivor of an evolution lost, in points."""
    run = record(name)
    return fixed(100 * (run["founder"]["test"] - run["survivor"]["test"]), digits)


def efficiency(name: str) -> str:
    """Efficiency of an evolution's last survivor."""
    return fixed(record(name)["efficiency"], 1)


def yolov2_faster() -> list[str]:
    """Least and most speed-up of YOLOv2's survivor, over the engines."""
    faster = [
        one["faster"]
        for one in bench("engines")["yolov2, batch 1"].values()
        if isinstance(one, dict)
    ]
    return [fixed(min(faster), 1), fixed(max(faster), 1)]


def saved_by_seed(part: str) -> list[float]:
    """Share of the training that early ending saves, by seed."""
    return [
        1 - pair["ended early"]["training_seconds"] / pair["to the end"]["training_seconds"]
        for pair in bench(part).values()
    ]


def less_efficient(part: str) -> list[str]:
    """How much less efficient the last survivors are with early ending, by seed, in percent."""
    return [
        percent(1 - pair["ended early"]["efficiency"] / pair["to the end"]["efficiency"])
        for pair in bench(part).values()
    ]


def gpu_steps() -> list[str]:
    """Least and most ratio of a step under stress on the GPU, over the networks."""
    ratios = [network["nested silence"]["ratio"] for network in bench("gpu").values()]
    return [fixed(min(ratios), 2), fixed(max(ratios), 2)]


def cpu_steps() -> list[str]:
    """What stress adds to a step on the CPU at most, in percent."""
    return [
        percent(max(network["nested silence"]["ratio"] for network in bench("steps").values()) - 1)
    ]


def growth() -> list[str]:
    """Most and least memory of a synthesis, in sizes of the network."""
    memory = [one["networks"] for one in bench("growth").values()]
    return [fixed(max(memory), 1), fixed(min(memory), 1)]


def seconds_of_synthesis() -> list[str]:
    """Seconds of a synthesis of ResNet-18, by method."""
    kinds = ("StressPruner", "L1NormPruner and ModelSpeedup", "Torch-Pruning")
    return [fixed(bench("synthesis")["ResNet-18"][kind]["seconds"], 2) for kind in kinds]


def all_at_once() -> list[str]:
    """Seconds between first and last start of a hundred trials: two workers, local."""
    found = {one["workers"]: one for one in record("many_machines")["hundred_trials_at_once"]}
    return [fixed(found[workers]["first_to_last_started_seconds"], 1) for workers in (2, "local")]


def lenet5_trial(name: str) -> list[float]:
    """A measurement of the trials of LeNet-5."""
    return record("many_machines")["lenet5_trial"][name]


def megabytes() -> list[str]:
    """Size of the smallest and largest offspring of LeNet-5, and of the founder."""
    found = record("many_machines")["lineage_bytes"]
    return [fixed(size / 1e6, 1) for size in (*found["offspring"], found["founder"])]


def quorum_saves() -> list[str]:
    """What a quorum of 0.95 takes off a generation, without and with slow workers, in percent."""
    return [
        percent(1 - machines.time(0.95, slow) / machines.time(1.0, slow)) for slow in (0.0, 0.02)
    ]


def budgets(budgets: list[float]) -> list[str]:
    """Budgets as they are written."""
    return [f"{budget:g}" for budget in budgets]
