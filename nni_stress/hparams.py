"""Hyperparameters of one generation: defaults, bounds and meaning, each declared once.

This module imports neither torch nor NNI, because the tuner reads it while it starts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

from .utils.ramps import SHAPES
from .utils.registry import is_own_name

# Stressors and importances: the registries of nni_stress.pruning load the modules of these names.
STRESSORS = ("attenuate", "silence", "nested_silence", "survival", "weaken")
STRENGTHS = ("magnitude", "l2", "taylor")
SAMPLINGS = ("exact", "bernoulli")
ENCODINGS = ("cluster", "synapse")
ATTENTION = ("heads", "width")
UNITS = ("share", "steps", "epochs")

_Self = TypeVar("_Self", bound="PrunerArguments")


@dataclass(frozen=True)
class Bounds:
    """Bounds of a numeric hyperparameter.

    Parameters
    ----------
    low, high
        Ends of the interval.
    open_low, open_high
        Whether that end itself is excluded.
    whole
        Whether the value must be a whole number.
    time
        Whether the value is a time. Given as a share of the stress phase, it is at most 1.

    Examples
    --------
    >>> bounds = Bounds(0.0, 1.0, open_low=True)
    >>> str(bounds), bounds.contains(0.0), bounds.contains(1.0)
    ('(0, 1]', False, True)
    """

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False
    whole: bool = False
    time: bool = False

    def within(self, unit: str) -> Bounds:
        """The bounds that hold when times are given in `unit`."""
        return Bounds(self.low, 1.0) if self.time and unit == "share" else self

    def contains(self, value: float) -> bool:
        """Whether a value is finite and lies within the bounds."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return abs(value) < math.inf and above and below  # isfinite takes no 1000 digits

    def clip(self, value: float) -> float:
        """The nearest value within the bounds."""
        low = self.low + (1e-6 if self.open_low else 0)
        high = self.high - (1e-6 if self.open_high else 0)
        clipped = min(max(value, low), high)
        return int(clipped) if self.whole else clipped

    def __str__(self) -> str:
        left = "(" if self.open_low else "["
        right = ")" if self.open_high else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"

    def describe(self) -> str:
        """The bounds as documentation shows them.

        Examples
        --------
        >>> Bounds(1, 1e6, whole=True).describe()
        '[1, 1000000], whole'
        """
        if self.time:
            return "not negative"
        return f"{str(self).replace('1e+06', '1000000')}{', whole' if self.whole else ''}"


class ArgumentRow(NamedTuple):
    """One row of a documentation table: an argument, its default, its bounds and its meaning.

    Examples
    --------
    >>> row = ArgumentRow("floor", "1", "[1, 9], whole", "minimum number of clusters")
    >>> row.name, row.bounds
    ('floor', '[1, 9], whole')
    """

    name: str
    default: str
    bounds: str
    meaning: str

    def markdown(self) -> str:
        """The row of a Markdown table.

        Examples
        --------
        >>> ArgumentRow("floor", "1", "[1, 9], whole", "minimum number of clusters").markdown()
        '| `floor` | 1 | [1, 9], whole | minimum number of clusters |'
        """
        return f"| `{self.name}` | {self.default} | {self.bounds} | {self.meaning} |"


def _number(default: float, bounds: Bounds, meaning: str) -> Any:
    return field(default=default, metadata={"bounds": bounds, "meaning": meaning})


def _choice(default: str, choices: tuple[str, ...], meaning: str, own: bool = False) -> Any:
    """A field of one of several names, or also of one that users register (see is_own_name)."""
    return field(default=default, metadata={"choices": choices, "meaning": meaning, "own": own})


_STRENGTH = "how the strength of a cluster is measured"
_TIME = Bounds(0.0, 1e9, time=True)


@dataclass(frozen=True)
class PrunerArguments:
    """Hyperparameters of stress and genetics: the settings of a StressPruner.

    ``reports/results/stress`` has what the settings of stress were found to be worth.

    Raises
    ------
    ValueError
        If a value is out of its bounds.
    TypeError
        If a value is not a number where one is expected.

    Examples
    --------
    >>> PrunerArguments(stress_peak=0.5).stress_peak
    0.5
    >>> PrunerArguments(stress_peak=2)
    Traceback (most recent call last):
        ...
    ValueError: stress_peak must lie in [0, 1], but got 2
    """

    temperature: float = _number(
        0.1, Bounds(0.0, 10.0), "randomness of the synthesis; 0 keeps the strongest clusters"
    )
    strength: str = _choice("magnitude", STRENGTHS, _STRENGTH, own=True)
    sampling: str = _choice(
        "exact", SAMPLINGS, "draw clusters to the exact budget, or each one independently"
    )
    encoding: str = _choice(
        "cluster", ENCODINGS, "what is drawn: whole clusters, or single synapses"
    )
    synapse_sparsity: float = _number(
        0.0,
        Bounds(0.0, 1.0, open_high=True),
        "share of the surviving clusters' synapses that is removed as well",
    )
    attention: str = _choice(
        "heads",
        ATTENTION,
        "what attentions lose: whole heads, or width, the same in all their heads",
    )
    stressor: str = _choice("nested_silence", STRESSORS, "how stress acts on a synapse", own=True)
    stress_peak: float = _number(
        1.0, Bounds(0.0, 1.0), "highest stress level; 0 is training without stress"
    )
    stress_range: float = _number(
        0.5,
        Bounds(0.0, 1.0),
        "range of nested silence: 0 keeps exactly the number of clusters that will survive, 1 from "
        "0.4 of it to all",
    )
    stress_renewals: int = _number(
        0,
        Bounds(0, 1e6, whole=True),
        "how often the coming offspring is drawn anew while stress prepares the network for it",
    )
    stress_shape: str = _choice("linear", tuple(SHAPES), "shape of the rise of stress")
    stress_unit: str = _choice(
        "share",
        UNITS,
        "unit of onset, ramp and plateau: share of the stress phase, optimizer steps, or epochs",
    )
    stress_onset: float = _number(0.1, _TIME, "time before stress begins to rise")
    stress_ramp: float = _number(0.4, _TIME, "time in which stress rises to its peak")
    stress_plateau: float = _number(1.0, _TIME, "time for which stress stays at its peak")

    def __post_init__(self) -> None:
        for spec in fields(self):
            check_value(spec.name, getattr(self, spec.name), self.stress_unit)

    @classmethod
    def from_mapping(cls: type[_Self], mapping: Mapping[str, Any]) -> _Self:
        """Make arguments from a plain mapping, as a tuner suggests it.

        Raises
        ------
        ValueError
            If a name is unknown, or a value is out of its bounds.
        TypeError
            If a value is not a number where one is expected.

        Examples
        --------
        >>> Arguments.from_mapping({"environmental_factor": 0.25}).environmental_factor
        0.25
        """
        for name in mapping:
            spec_of(name, cls)
        return cls(**mapping)


@dataclass(frozen=True)
class Arguments(PrunerArguments):
    """Hyperparameters of one offspring.

    Every field may stand in a search space; the others keep their defaults.

    Examples
    --------
    >>> arguments = Arguments(recovery_epochs=2)
    >>> arguments.recovery_epochs, arguments.strength
    (2, 'taylor')
    """

    strength: str = _choice("taylor", STRENGTHS, _STRENGTH, own=True)
    environmental_factor: float = _number(
        0.5,
        Bounds(0.0, 1.0, open_low=True),
        "share of the ancestor's resource that an offspring may use",
    )
    candidates: int = _number(
        1,
        Bounds(1, 10_000, whole=True),
        "number of architectures bred within the budget and judged untrained, of which the best is "
        "synthesized; 1: the budget is divided by importance alone",
    )
    stress_epochs: float = _number(
        2.0, Bounds(0.0, 1000.0), "length of the ancestor's training under stress, in epochs"
    )
    recovery_epochs: float = _number(
        4.0, Bounds(0.0, 1000.0), "length of the offspring's recovery training, in epochs"
    )
    learning_rate: float = _number(
        2e-3, Bounds(0.0, 10.0, open_low=True), "highest learning rate of both phases"
    )
    early_worth: float = _number(
        1.0,
        Bounds(1e-3, 1e3),
        "worth of clusters in the first layers relative to those in the middle, when a budget is "
        "divided among layers",
    )
    late_worth: float = _number(
        1.0,
        Bounds(1e-3, 1e3),
        "worth of clusters in the last layers relative to those in the middle",
    )
    redundancy: float = _number(
        8.0,
        Bounds(0.0, 20.0),
        "how far the clusters of a layer can replace one another; 0: not at all, 20: every layer "
        "keeps nearly the same share",
    )
    floor: int = _number(1, Bounds(1, 1e6, whole=True), "minimum number of clusters of a layer")
    multiple: int = _number(
        1,
        Bounds(1, 1024, whole=True),
        "numbers of clusters are multiples of this, where the budget allows it",
    )

    def for_pruner(self) -> dict[str, Any]:
        """The arguments that a StressPruner takes, by name.

        Examples
        --------
        >>> Arguments(temperature=0.2).for_pruner()["temperature"]
        0.2
        """
        return {spec.name: getattr(self, spec.name) for spec in fields(PrunerArguments)}


_SPECS = {spec.name: spec for spec in fields(Arguments)}


def spec_of(name: str, owner: type = Arguments) -> Field[Any]:
    """The dataclass field of a hyperparameter, whose metadata hold its bounds and its meaning.

    Parameters
    ----------
    name
        Name of the hyperparameter.
    owner
        The dataclass in which it must exist.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> str(spec_of("temperature").metadata["bounds"])
    '[0, 10]'
    """
    known = [spec.name for spec in fields(owner)]
    if name not in known:
        raise ValueError(f"unknown stress parameter {name!r}; known are {', '.join(known)}")
    return _SPECS[name]


def check_value(name: str, value: Any, unit: str = "share") -> None:
    """Check one value against the bounds of a hyperparameter.

    A name of the user's, as ``my::name``, is right whether something is registered under it or not:
    a tuner does not run the code that does.

    Parameters
    ----------
    name
        Name of the hyperparameter.
    value
        The value to check.
    unit
        Unit in which times are given, one of ``UNITS``.

    Raises
    ------
    ValueError
        If the name is unknown, or the value is out of its bounds.
    TypeError
        If the value is not a number where one is expected.

    Examples
    --------
    >>> check_value("floor", 1.5)
    Traceback (most recent call last):
        ...
    ValueError: floor must be a whole number, but got 1.5
    """
    metadata = spec_of(name).metadata
    if "choices" in metadata:
        if value not in metadata["choices"] and not (metadata["own"] and is_own_name(value)):
            own = ", or registered by you and named as my::name" if metadata["own"] else ""
            raise ValueError(
                f"{name} must be one of {', '.join(metadata['choices'])}{own}, but got {value!r}"
            )
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, but got {value!r}")
    bounds: Bounds = metadata["bounds"].within(unit)
    if bounds.whole and abs(value) < math.inf and value != int(value):
        raise ValueError(f"{name} must be a whole number, but got {value!r}")
    if not bounds.contains(value):
        raise ValueError(f"{name} must lie in {bounds}, but got {value!r}")


def argument_rows(owner: type = Arguments) -> Iterator[ArgumentRow]:
    """Rows of the documentation table of hyperparameters, in the order of their declaration.

    Parameters
    ----------
    owner
        `Arguments` or `PrunerArguments`.

    Examples
    --------
    >>> next(argument_rows()).bounds
    '[0, 10]'
    """
    for spec in fields(owner):
        bounds = spec.metadata.get("bounds")
        default = spec.default if isinstance(spec.default, str) else f"{spec.default:g}"
        yield ArgumentRow(
            spec.name,
            default,
            bounds.describe() if bounds else ", ".join(spec.metadata["choices"]),
            spec.metadata["meaning"],
        )
