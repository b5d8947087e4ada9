"""The generated blocks by name: each function returns the Markdown between the markers."""

from __future__ import annotations

from . import contests, evolutions, machines, reference, speed, studies, zoo

BLOCKS = {
    "demo": evolutions.demo,
    "alexnet generations": lambda: evolutions.generations("alexnet"),
    "alexnet survivor": lambda: evolutions.survivor("alexnet"),
    "yolov2 generations": lambda: evolutions.generations("yolov2"),
    "yolov2 survivor": lambda: evolutions.survivor("yolov2"),
    "yolov2 precision": evolutions.precision,
    "contest pilot, LeNet-5": lambda: contests.pilot_table("lenet5"),
    "contest pilot, ResNet-20": lambda: contests.pilot_table("resnet20"),
    "stress, LeNet-5, parameters": lambda: studies.stress_table("lenet5", "parameters"),
    "stress, LeNet-5, MACs": lambda: studies.stress_table("lenet5", "macs"),
    "division, first look": lambda: studies.division_table("first"),
    "division, second look": lambda: studies.division_table("second"),
    "early ending, TPE": lambda: studies.early_ending("ending"),
    "early ending, Random": lambda: studies.early_ending("ending-random"),
    "training steps": speed.training_steps,
    "synthesis": speed.synthesis,
    "growth": speed.growth,
    "masking": speed.masking,
    "engines": speed.engines,
    "layers": speed.layers,
    "device": speed.device,
    "records": speed.records,
    "tuner cost": speed.tuner_cost,
    "machines measured": machines.measured,
    "barrier scan": machines.barrier_scan,
    "machines extrapolated": machines.extrapolated,
    "stragglers": machines.stragglers,
    "shift study": studies.shift,
    "zoo summary": zoo.summary,
    "zoo networks": zoo.networks,
    "zoo structures": zoo.structures,
    "hyperparameters": reference.hyperparameters,
    "classArgs": reference.tuner_arguments,
}
