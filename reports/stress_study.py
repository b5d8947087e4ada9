"""Which stress helps? The Caffe LeNet-5 on Fashion-MNIST, every variant with the same steps, founder and seeds.

    python -m reports.stress_study            # all cells not yet recorded; with a founder there, by any number of processes
    python -m reports.stress_study --table    # what is recorded so far

Each cell takes three generations from the founder to the target, and four epochs in all. A generation is one epoch of the
ancestor's training (under stress, or plain), then the synthesis to its share of the budget; after the last, one epoch of
recovery. In "brief" cells the generations take half an epoch together, and recovery all the rest. The cells "synthesis first"
make the whole step at once and train the small network for all four epochs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from nni_stress import StressPruner
from nni_stress.graph import cost, serialization
from nni_stress.graph.cluster_graph import ClusterGraph
from nni_stress.hparams import Arguments
from nni_stress.trial.offspring import stress_and_synthesize
from nni_stress.trial.training import stress_evaluator, train
from nni_stress.utils.atomic_files import read_json, write_json
from nni_stress.utils.seeding import seed_of
from trials.founders import train_founder
from trials.lenet5 import make_task

RESULTS = Path(__file__).parent / "results" / "stress_study"
FOUNDER = Path("runs/founders/lenet5-fashion-mnist.safetensors")
TASK = ("fashion-mnist", None, 128, 8)
SEEDS = (1, 2, 3, 4, 5)
# Epochs of stress in each generation, and of recovery after the last.
EVEN, BRIEF = ((1.0, 1.0, 1.0), 1.0), ((0.1, 0.1, 0.3), 3.5)
LOOK = 0.05  # epochs in which importance is gathered where the synthesis comes first
SETTINGS = {
    "strength": "taylor",
    "temperature": 0.0,
    "stress_onset": 0.1,
    "stress_ramp": 0.4,
    "stress_peak": 1.0,
}
VARIANTS = {
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
# At 140x also with the founder's own learning rate; the other is the best of those tried for evolving and for synthesis first.
CELLS = [
    *((140, 8e-3, variant) for variant in VARIANTS),
    *((44, 8e-3, variant) for variant in VARIANTS),
    *((140, 2e-3, variant) for variant in ("synthesis first", "nested silence")),
]


def run_cell(efficiency: int, learning_rate: float, variant: str, seed: int, founder: Path) -> dict:
    """Evolve one cell and return its record."""
    task = make_task(*TASK)
    network = serialization.load(founder, task.network)
    started, full = time.perf_counter(), cost.synapses(network)
    stressed, recovery = BRIEF if variant.endswith("brief") else EVEN
    if VARIANTS[variant] is None:
        network = synthesize_first(
            network,
            task,
            full / efficiency,
            variant.endswith("uniform ratio"),
            seed_of(seed, 1, "stress"),
        )
        recovery += sum(stressed) - LOOK
    else:
        for generation, epochs in enumerate(stressed, 1):
            factor = full * efficiency ** (-generation / len(stressed)) / cost.synapses(network)
            arguments = Arguments(
                **{**SETTINGS, **VARIANTS[variant]},
                learning_rate=learning_rate,
                stress_epochs=epochs,
                environmental_factor=factor,
            )
            network = stress_and_synthesize(
                network, task, arguments, seed_of(seed, generation, "stress")
            )
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


def synthesize_first(network, task, budget: float, uniform: bool, seed: int):
    """The offspring of so many synapses, without stress: by a shared budget, or by one ratio for every layer."""
    evaluator, steps = stress_evaluator(
        network, task, LOOK, 1e-6, seed
    )  # importance only: the weights stay
    settings = {
        "training_steps": steps,
        "seed": seed,
        "strength": "taylor",
        "temperature": 0.0,
        "stress_peak": 0.0,
    }
    if not uniform:
        pruner = StressPruner(
            network,
            [task.clusters],
            evaluator,
            budget={"parameters": budget / cost.synapses(network)},
            example_input=task.example_input,
            **settings,
        )
    else:
        graph = ClusterGraph(network, task.example_input)
        keeps = [
            [
                group.clusters if group.frozen else max(1, round(group.clusters * share / 1000))
                for group in graph.groups
            ]
            for share in range(1, 1001)
        ]
        keep = max(
            (keep for keep in keeps if graph.parameters(keep) <= budget), key=graph.parameters
        )
        config = [
            {
                "op_names": list(group.layers),
                "sparse_ratio": (group.clusters - count + 0.5) / group.clusters,
            }
            for group, count in zip(graph.groups, keep)
            if not group.frozen
        ]
        pruner = StressPruner(network, config, evaluator, **settings)
    pruner.compress()
    network.eval()
    return pruner.synthesize(task.example_input)


def run_all(results: Path, founder: Path) -> None:
    """Run every cell that has neither a record nor a process at work on it."""
    train_founder(make_task(*TASK), founder)
    for seed, (efficiency, rate, variant) in itertools.product(SEEDS, CELLS):
        file = (
            results
            / f"{variant.replace(', ', '-').replace(' ', '-')}-{efficiency}x-{rate:g}-{seed}.json"
        )
        claim = file.with_suffix(".claim")
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() or (claim.exists() and _lives(int(claim.read_text()))):
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


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def table(results: Path) -> str:
    """Median and bootstrap interval over seeds, and the paired test against "synthesis first"."""
    records = [read_json(path) for path in sorted(results.glob("*.json"))]
    lines = [
        "| efficiency | learning rate | variant | seeds | right after synthesis, % | after recovery, % "
        "| against synthesis first, points | p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for efficiency, rate, variant in CELLS:
        cell, first = (_of(records, efficiency, rate, one) for one in (variant, "synthesis first"))
        row = f"| {efficiency}x | {rate:g} | {variant} | {len(cell)} |"
        if not cell:
            lines.append(f"{row} missing | missing | | |")
            continue
        gains = [
            100 * (cell[seed]["recovered"] - first[seed]["recovered"])
            for seed in sorted(set(cell) & set(first))
        ]
        test = (
            f"{np.mean(gains):+.2f} | {stats.ttest_1samp(gains, 0).pvalue:.3f}"
            if variant != "synthesis first" and len(gains) > 1
            else " | "
        )
        lines.append(
            f"{row} {_interval(cell, 'synthesized')} | {_interval(cell, 'recovered')} | {test} |"
        )
    return "\n".join(lines)


def _of(records: list[dict], efficiency: int, rate: float, variant: str) -> dict:
    """{seed: record} of one cell of the table."""
    return {
        record["seed"]: record
        for record in records
        if (record["efficiency"], record["learning_rate"], record["variant"])
        == (efficiency, rate, variant)
    }


def _interval(cell: dict, key: str) -> str:
    values = np.array([100 * record[key] for record in cell.values()])
    if len(values) < 3 or np.ptp(values) == 0:
        return f"{np.median(values):.2f}"
    low, high = stats.bootstrap(
        (values,), np.median, method="percentile", rng=0
    ).confidence_interval
    return f"{np.median(values):.2f} [{low:.2f}, {high:.2f}]"


def main(arguments: list[str] | None = None) -> None:
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
