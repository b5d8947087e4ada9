"""Which stress helps? The Caffe LeNet-5 on Fashion-MNIST; equal steps, founder and seeds for all.

    python -m reports.first_stress_study            # all cells not yet recorded
    python -m reports.first_stress_study --table    # what is recorded so far

Once the founder's file exists, any number of processes may share the work.

Each cell takes three generations from the founder to the target, and four epochs in all. A
generation is one epoch of training the ancestor (under stress, or plain) and the synthesis of its
share of the budget; one epoch of recovery follows the last generation. In "brief" cells the
generations take half an epoch together, and recovery takes the rest. "Synthesis first" makes the
whole step at once, and trains the small network for all four epochs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nni_stress.trials.founders import train_founder
from nni_stress.trials.lenet5 import make_task
from scipy import stats
from torch import nn

from nni_stress import Task
from nni_stress.graph import cost, serialization
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.hparams import Arguments
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.trial.training import train
from nni_stress.utils.atomic_files import read_json, write_json
from nni_stress.utils.seeding import seed_of

from . import checkout
from .stress_study.running import LOOK, synthesized_first

RESULTS = checkout.RESULTS / "stress_study"
FOUNDER = Path("runs/founders/lenet5-fashion-mnist.safetensors")
TASK = ("fashion-mnist", None, 128, 8)
SEEDS = (1, 2, 3, 4, 5)
# Epochs of stress in each generation, and of recovery after the last.
EVEN = ((1.0, 1.0, 1.0), 1.0)
BRIEF = ((0.1, 0.1, 0.3), 3.5)
SETTINGS: dict[str, Any] = {
    "strength": "taylor",
    "temperature": 0.0,
    "stress_onset": 0.1,
    "stress_ramp": 0.4,
    "stress_peak": 1.0,
}
VARIANTS: dict[str, dict[str, Any] | None] = {
    "synthesis first, uniform ratio": None,
    "synthesis first": None,
    "none": {"stress_peak": 0.0},
    "attenuate": {"stressor": "attenuate", "temperature": 0.3},
    "silence": {"stressor": "silence", "temperature": 0.3},
    "nested silence": {"stressor": "nested_silence"},
    "weaken": {"stressor": "weaken", "temperature": 0.3},
    "none, 100 candidates": {"stress_peak": 0.0, "candidates": 100},
    "nested silence, brief": {"stressor": "nested_silence"},
    "nested silence, 100 candidates": {"stressor": "nested_silence", "candidates": 100},
}
# At 140x also with the founder's own learning rate. The other rate is the best of those tried, both
# for evolving and for synthesis first.
CELLS = [
    *((140, 8e-3, variant) for variant in VARIANTS),
    *((44, 8e-3, variant) for variant in VARIANTS),
    *((140, 2e-3, variant) for variant in ("synthesis first", "nested silence")),
]


def run_cell(
    efficiency: int, learning_rate: float, variant: str, seed: int, founder: Path
) -> dict[str, Any]:
    """Evolve one cell and return its record.

    Parameters
    ----------
    efficiency
        The target: synapses (weights) of the founder / synapses of the last network.
    learning_rate
        Of stress and recovery.
    variant
        One of :data:`VARIANTS`.
    seed
        Of the cell.
    founder
        File of the founder.
    """
    task = make_task(*TASK)
    network = serialization.load(founder, task.network)
    started = time.perf_counter()
    network, recovery = _small_network(network, task, efficiency, learning_rate, variant, seed)
    synthesized = task.fidelity(network, "test")
    train(network, task, recovery, learning_rate, seed_of(seed, "recovery"))
    return {
        "variant": variant,
        "efficiency": efficiency,
        "learning_rate": learning_rate,
        "seed": seed,
        "synapses": cost.synapses(network),
        "architecture": cost.architecture(network),
        "synthesized": synthesized,
        "recovered": task.fidelity(network, "test"),
        "founder": task.fidelity(serialization.load(founder, task.network), "test"),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _small_network(
    network: nn.Module,
    task: Task,
    efficiency: int,
    learning_rate: float,
    variant: str,
    seed: int,
) -> tuple[nn.Module, float]:
    """Return the small network before its recovery, and the epochs of its recovery."""
    full = cost.synapses(network)
    stress_epochs, recovery = BRIEF if variant.endswith("brief") else EVEN
    settings = VARIANTS[variant]
    if settings is None:
        is_uniform = variant.endswith("uniform ratio")
        stress_seed = seed_of(seed, 1, "stress")
        network = synthesize_first(network, task, full / efficiency, is_uniform, stress_seed)
        return network, recovery + (sum(stress_epochs) - LOOK)
    for generation, epochs in enumerate(stress_epochs, 1):
        budget = full * efficiency ** (-generation / len(stress_epochs))
        arguments = Arguments(
            **{**SETTINGS, **settings},
            learning_rate=learning_rate,
            stress_epochs=epochs,
            environmental_factor=budget / cost.synapses(network),
        )
        stress_seed = seed_of(seed, generation, "stress")
        network = stress_and_synthesize(network, task, arguments, stress_seed)
    return network, recovery


def synthesize_first(
    network: nn.Module, task: Task, budget: float, uniform: bool, seed: int
) -> nn.Module:
    """Synthesize an offspring without stress.

    Parameters
    ----------
    network
        The ancestor.
    task
        Its task.
    budget
        Synapses that the offspring may have.
    uniform
        Whether all layers lose the same share; otherwise they share the budget.
    seed
        Of the importance.
    """
    if uniform:
        config = _uniform_config(ClusterGraph(network, task.example_input), budget)
        return synthesized_first(network, task, config, seed)
    return synthesized_first(
        network,
        task,
        [task.clusters],
        seed,
        budget={"parameters": budget / cost.synapses(network)},
        example_input=task.example_input,
    )


def _uniform_config(graph: ClusterGraph, budget: float) -> list[dict[str, Any]]:
    """Return NNI's config that keeps one share of all groups, as large as the budget allows."""
    choices = [
        [max(1, round(group.clusters * share / 1000)) for group in graph.groups]
        for share in range(1, 1001)
    ]
    within = [kept for kept in choices if graph.parameters(kept) <= budget]
    return [
        {
            "op_names": list(group.layers),
            "sparse_ratio": (group.clusters - count + 0.5) / group.clusters,
        }
        for group, count in zip(graph.groups, max(within, key=graph.parameters))
    ]


def run_all(results: Path, founder: Path) -> None:
    """Run every cell that has no record and on which no other process is at work."""
    train_founder(make_task(*TASK), founder)
    for seed, (efficiency, rate, variant) in itertools.product(SEEDS, CELLS):
        name = variant.replace(", ", "-").replace(" ", "-")
        file = results / f"{name}-{efficiency}x-{rate:g}-{seed}.json"
        claim = file.with_suffix(".claim")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() or (claim.exists() and _is_alive(int(claim.read_text()))):
            continue
        claim.write_text(str(os.getpid()))
        record = run_cell(efficiency, rate, variant, seed, founder)
        write_json(file, record)
        claim.unlink()
        print(
            f"{file.stem}: {100 * record['synthesized']:.2f} -> {100 * record['recovered']:.2f} % "
            f"in {record['seconds']} s",
            flush=True,
        )


def _is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def table(results: Path) -> str:
    """Return a Markdown table of all cells: medians with bootstrap intervals over seeds.

    The last columns compare each cell with "synthesis first" by a paired t-test.
    """
    records = [read_json(path) for path in sorted(results.glob("*.json"))]
    lines = [
        "| efficiency | learning rate | variant | seeds | right after synthesis, % "
        "| after recovery, % | against synthesis first, points | p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for efficiency, rate, variant in CELLS:
        cell = _by_seed(records, efficiency, rate, variant)
        first = _by_seed(records, efficiency, rate, "synthesis first")
        row = f"| {efficiency}x | {rate:g} | {variant} | {len(cell)} |"
        if cell:
            test = " | " if variant == "synthesis first" else _paired_test(cell, first)
            synthesized, recovered = (_interval(cell, key) for key in ("synthesized", "recovered"))
            lines.append(f"{row} {synthesized} | {recovered} | {test} |")
        else:
            lines.append(f"{row} missing | missing | | |")
    return "\n".join(lines)


def _by_seed(
    records: list[dict[str, Any]], efficiency: int, rate: float, variant: str
) -> dict[int, dict[str, Any]]:
    """Return {seed: record} of one cell of the table."""
    return {
        record["seed"]: record
        for record in records
        if (record["efficiency"], record["learning_rate"], record["variant"])
        == (efficiency, rate, variant)
    }


def _paired_test(cell: dict[int, dict[str, Any]], first: dict[int, dict[str, Any]]) -> str:
    gains = [
        100 * (cell[seed]["recovered"] - first[seed]["recovered"])
        for seed in sorted(set(cell) & set(first))
    ]
    if len(gains) < 2:
        return " | "
    return f"{np.mean(gains):+.2f} | {stats.ttest_1samp(gains, 0).pvalue:.3f}"


def _interval(cell: dict[int, dict[str, Any]], key: str) -> str:
    values = np.array([100 * record[key] for record in cell.values()])
    if len(values) < 3 or np.ptp(values) == 0:
        return f"{np.median(values):.2f}"
    low, high = stats.bootstrap(
        (values,), np.median, method="percentile", rng=0
    ).confidence_interval
    return f"{np.median(values):.2f} [{low:.2f}, {high:.2f}]"


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.first_stress_study``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--table", action="store_true", help="print what is recorded, and run nothing"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--founder",
        type=Path,
        default=FOUNDER,
        help="file of the founder, trained where it does not exist",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if not options.table:
        run_all(options.results, options.founder)
    print(table(options.results))


if __name__ == "__main__":
    main()
