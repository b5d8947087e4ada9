"""Sentences of README.md and docs/results whose figures come from records."""

from __future__ import annotations

from . import contests, evolutions, figures, machines, studies
from .pages import Sentence
from .records import bench, fixed, percent, record

_STRESS = "docs/results/stress-study.md"
_CONTEST = "docs/results/contest.md"
_ENDING = "docs/results/early-ending.md"
_EVOLUTIONS = "docs/results/evolutions.md"
_MACHINES = "docs/results/many-machines.md"
_SPEED = "docs/results/speed.md"
_INDEX = "docs/results/index.md"

SENTENCES = [
    Sentence(
        "README.md",
        "LeNet-5 on handwritten digits with {}x fewer synapses (weights) after four generations, "
        "at {} % test accuracy where the original had {} %, in {} s on two cores.",
        lambda: [
            figures.efficiency("demo/seed1"),
            percent(record("demo/seed1")["survivor"]["test"], 2),
            percent(record("demo/seed1")["founder"]["test"], 2),
            fixed(record("demo/seed1")["seconds"]),
        ],
    ),
    Sentence(
        "README.md",
        "AlexNet with {}x fewer synapses at {} points less test accuracy; YOLOv2 with {}x fewer "
        "at {} points less mAP, running {}x to {}x as fast.",
        lambda: [
            figures.efficiency("alexnet/summary"),
            figures.lost_points("alexnet/summary", 2),
            figures.efficiency("yolov2/summary"),
            figures.lost_points("yolov2/summary", 1),
            *figures.yolov2_faster(),
        ],
    ),
    Sentence(
        "README.md",
        "({} % instead of {} % accuracy). "
        "{} points are left after 100 steps, {} after four epochs.",
        lambda: [
            *studies.stressed("lenet5", "parameters", "renewed", "0"),
            *studies.stressed("lenet5", "parameters", "none", "0"),
            *studies.gained("lenet5", "parameters", "renewed", "100", "4 epochs"),
        ],
    ),
    Sentence(
        "README.md",
        "ahead of the best at {} of {} budgets; at {} no difference is established",
        lambda: contests.standings("lenet5"),
    ),
    Sentence(
        "README.md",
        "of ResNet-18 takes {} s, NNI's ModelSpeedup {} s, Torch-Pruning {} s.",
        figures.seconds_of_synthesis,
    ),
    Sentence(
        _INDEX,
        "LeNet-5 {}x, AlexNet {}x and YOLOv2 {}x fewer synapses (weights), "
        "at {}, {} and {} points less test fidelity",
        lambda: [
            *(
                figures.efficiency(name)
                for name in ("demo/seed1", "alexnet/summary", "yolov2/summary")
            ),
            figures.lost_points("demo/seed1", 1),
            figures.lost_points("alexnet/summary", 2),
            figures.lost_points("yolov2/summary", 1),
        ],
    ),
    Sentence(
        _INDEX,
        "It saves {} % of the training with random search",
        lambda: [percent(studies.saved("ending-random"))],
    ),
    Sentence(
        _INDEX,
        "On parameters yes, by {} and {} points on LeNet-5, and at 25x fewer MACs, by {} points; "
        "at 10x fewer MACs",
        lambda: [
            *contests.leads("lenet5", "parameters"),
            contests.leads("lenet5", "macs")[-1],
        ],
    ),
    Sentence(_INDEX, "a step under stress costs at most {} % more", figures.cpu_steps),
    Sentence(
        _INDEX, "the small YOLOv2 runs {}x to {}x as fast as its founder", figures.yolov2_faster
    ),
    Sentence(_INDEX, "up to {} workers", lambda: [str(max(machines.workers()))]),
    Sentence(
        _CONTEST,
        "at 1.5x less latency, where networks are larger, {} of its {} final trainings diverge",
        lambda: contests.diverged("lenet5", "latency", 1.5, "one-shot StressPruner"),
    ),
    Sentence(
        _CONTEST,
        "At 10x fewer MACs the means of all rivals are within {} points",
        lambda: [contests.spread("lenet5", "macs", 10)],
    ),
    Sentence(
        _EVOLUTIONS,
        "and loses {} points on the test images",
        lambda: [figures.lost_points("alexnet/summary", 2)],
    ),
    Sentence(
        _EVOLUTIONS,
        "asks for {} times fewer synapses and, because synapses are not what takes time, "
        "also for {} times fewer MACs",
        evolutions.asked_of_yolov2,
    ),
    Sentence(
        _STRESS,
        "LeNet-5 at 100x fewer parameters has {} % test accuracy, without it {} %.",
        lambda: [
            *studies.stressed("lenet5", "parameters", "renewed", "0"),
            *studies.stressed("lenet5", "parameters", "none", "0"),
        ],
    ),
    Sentence(
        _STRESS,
        "{} points are left after 100 steps of recovery, {} after an epoch and {} after four",
        lambda: studies.gained("lenet5", "parameters", "renewed", "100", "1 epoch", "4 epochs"),
    ),
    Sentence(
        _STRESS,
        "(300 steps on 1 % of them) it is worth {} points, and {} at 25x fewer MACs",
        lambda: [
            gain
            for resource in ("parameters", "macs")
            for gain in studies.gained("lenet5", resource, "renewed", "300 on 1 %")
        ],
    ),
    Sentence(
        _STRESS,
        "instead of under stress gives {}, {} and {} points",
        lambda: studies.gained(
            "lenet5", "parameters", "synthesis first", "100", "1 epoch", "4 epochs"
        ),
    ),
    Sentence(
        _ENDING,
        "saves {} % of the training seconds of the five evolutions ({} to {} %)",
        lambda: [
            percent(studies.saved("ending-random")),
            percent(min(figures.saved_by_seed("ending-random"))),
            percent(max(figures.saved_by_seed("ending-random"))),
        ],
    ),
    Sentence(
        _ENDING,
        "stay untrained: {} % less hypervolume",
        lambda: [percent(studies.lost_hypervolume("ending-random"))],
    ),
    Sentence(
        _ENDING,
        "saves {} % of the training seconds, and the last survivors are "
        "{} %, {} %, {} %, {} % and {} % less efficient",
        lambda: [percent(studies.saved("ending")), *figures.less_efficient("ending")],
    ),
    Sentence(_SPEED, "stress makes it {} to {} times as long", figures.gpu_steps),
    Sentence(_SPEED, "On the CPU it costs at most {} % more", figures.cpu_steps),
    Sentence(_SPEED, "Peak memory falls from {}x to {}x as networks grow.", figures.growth),
    Sentence(
        _SPEED,
        "spends {} s on everything that is neither training nor evaluation, {} % of its time",
        lambda: [
            fixed(bench("overhead")["LeNet-5, Fashion-MNIST"]["overhead_seconds"], 1),
            percent(bench("overhead")["LeNet-5, Fashion-MNIST"]["share"]),
        ],
    ),
    Sentence(
        _SPEED,
        "search space of {} hyperparameters",
        lambda: [str(record("tuner_cost")["hyperparameters"])],
    ),
    Sentence(
        _MACHINES,
        "uploaded once to each worker: {} kB",
        lambda: [fixed(record("many_machines")["upload"]["bytes"] / 1e3)],
    ),
    Sentence(
        _MACHINES,
        "the last started {} s after the first on two workers, and {} s locally",
        figures.all_at_once,
    ),
    Sentence(
        _MACHINES,
        "first start of the next: {} s to {} s with workers",
        lambda: [
            fixed(bound(figures.lenet5_trial("last_end_to_next_generation_seconds")["remote"]), 1)
            for bound in (min, max)
        ],
    ),
    Sentence(
        _MACHINES,
        "took {} MB and {} s of CPU time",
        lambda: [
            fixed(figures.lenet5_trial("tuner_megabytes")),
            fixed(figures.lenet5_trial("tuner_cpu_seconds")["remote"], 1),
        ],
    ),
    Sentence(_MACHINES, "takes {} MB to {} MB on disk, the founder {} MB", figures.megabytes),
    Sentence(
        _MACHINES,
        "That takes {} % off a generation when all workers are alike, and {} % with two",
        figures.quorum_saves,
    ),
]
