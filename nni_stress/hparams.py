"""The hyperparameters of a generation: their meaning, bounds and defaults, checked in one place.

No torch here: the tuner reads this module before NNI's time limit for its start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

STRESSORS = ("attenuate", "silence", "nested_silence", "weaken")
SHAPES = ("linear", "cubic", "cosine")
STRENGTHS = ("magnitude", "l2", "taylor")
SAMPLINGS = ("exact", "bernoulli")
ENCODINGS = ("cluster", "synapse")
UNITS = ("share", "steps", "epochs")


def _number(default, low, high, meaning, open_low=False, open_high=False, whole=False):
    return field(
        default=default,
        metadata={
            "low": low,
            "high": high,
            "open_low": open_low,
            "open_high": open_high,
            "whole": whole,
            "meaning": meaning,
        },
    )


def _choice(default, choices, meaning):
    return field(default=default, metadata={"choices": choices, "meaning": meaning})


@dataclass(frozen=True)
class PrunerArguments:
    """Hyperparameters of stress and genetics, the settings of a StressPruner.

    The defaults of stress are the best of reports/results/stress_study.

    Raises
    ------
    ValueError
        If a value is out of its bounds.
    TypeError
        If a value is not a number where one is expected.
    """

    temperature: float = _number(
        0.1, 0.0, 10.0, "randomness of the synthesis; 0 keeps the strongest clusters"
    )
    strength: str = _choice("magnitude", STRENGTHS, "what makes a cluster strong")
    sampling: str = _choice("exact", SAMPLINGS, "to the exact budget, or literal independent draws")
    encoding: str = _choice(
        "cluster", ENCODINGS, "what is drawn: whole clusters, or single synapses"
    )
    synapse_sparsity: float = _number(
        0.0, 0.0, 1.0, "share of the surviving clusters' synapses removed as well", open_high=True
    )
    stressor: str = _choice("nested_silence", STRESSORS, "how a synapse feels stress")
    stress_peak: float = _number(1.0, 0.0, 1.0, "highest stress level; 0 is plain training")
    stress_shape: str = _choice("linear", SHAPES, "how stress rises")
    stress_unit: str = _choice(
        "share", UNITS, "unit of onset, ramp and plateau: share of the stress phase, or time"
    )
    stress_onset: float = _number(0.1, 0.0, 1e9, "time before stress sets in")
    stress_ramp: float = _number(0.4, 0.0, 1e9, "time in which stress rises to its peak")
    stress_plateau: float = _number(1.0, 0.0, 1e9, "time for which stress stays at its peak")

    def __post_init__(self):
        for spec in fields(self):
            check_value(spec.name, getattr(self, spec.name), self.stress_unit)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]):
        """Make arguments from a plain mapping, as a tuner suggests it. An unknown name is a ValueError."""
        for name in mapping:
            spec_of(name, cls)
        return cls(**mapping)


@dataclass(frozen=True)
class Arguments(PrunerArguments):
    """Hyperparameters of one offspring. Every field may stand in a search space; what does not, keeps its default."""

    strength: str = _choice("taylor", STRENGTHS, "what makes a cluster strong")
    environmental_factor: float = _number(
        0.5, 0.0, 1.0, "share of the ancestor's resources an offspring may use", True
    )
    candidates: int = _number(
        1,
        1,
        10_000,
        "how many offspring are screened, untrained, for the one synthesized",
        whole=True,
    )
    stress_epochs: float = _number(
        2.0, 0.0, 1000.0, "length of the ancestor's training under stress, in epochs"
    )
    recovery_epochs: float = _number(
        4.0, 0.0, 1000.0, "length of the offspring's recovery training, in epochs"
    )
    learning_rate: float = _number(2e-3, 0.0, 10.0, "highest learning rate of both phases", True)
    early_worth: float = _number(
        1.0,
        1e-3,
        1e3,
        "worth of the first layers' clusters, times that of the middle's, when "
        "the environment shares its resources out",
    )
    late_worth: float = _number(
        1.0, 1e-3, 1e3, "worth of the last layers' clusters, times that of the middle's"
    )
    redundancy: float = _number(
        1.0,
        0.0,
        20.0,
        "how far the clusters of a layer make up for each other; 0: not at all, 20: "
        "every layer keeps nearly the same share",
    )
    floor: int = _number(1, 1, 1e6, "least number of clusters of a layer", whole=True)
    multiple: int = _number(
        1,
        1,
        1024,
        "numbers of clusters are multiples of this, where that costs nothing",
        whole=True,
    )

    def for_pruner(self) -> dict[str, Any]:
        """The part of the arguments that a StressPruner takes."""
        return {spec.name: getattr(self, spec.name) for spec in fields(PrunerArguments)}


_SPECS = {spec.name: spec for spec in fields(Arguments)}


def spec_of(name: str, owner: type = Arguments):
    """The field of the hyperparameter `name`, whose metadata hold its bounds. An unknown name is a ValueError."""
    known = [spec.name for spec in fields(owner)]
    if name not in known:
        raise ValueError(f"unknown stress parameter {name!r}; known are {', '.join(known)}")
    return _SPECS[name]


def check_value(name: str, value: Any, unit: str = "share") -> None:
    """Check one value against the bounds of the hyperparameter `name`, times being given in `unit`."""
    bounds = spec_of(name).metadata
    if "choices" in bounds:
        if value not in bounds["choices"]:
            raise ValueError(
                f"{name} must be one of {', '.join(bounds['choices'])}, but got {value!r}"
            )
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    if bounds["whole"] and value != int(value):
        raise ValueError(f"{name} must be a whole number, but got {value!r}")
    low, high = bounds["low"], bounds["high"]
    if high == 1e9 and unit == "share":
        high = 1.0
    above = value > low if bounds["open_low"] else value >= low
    below = value < high if bounds["open_high"] else value <= high
    if not (math.isfinite(value) and above and below):
        raise ValueError(
            f"{name} must lie in {'(' if bounds['open_low'] else '['}{low:g}, {high:g}"
            f"{')' if bounds['open_high'] else ']'}, but got {value!r}"
        )
