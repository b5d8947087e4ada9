"""Search spaces over the hyperparameters of a generation, in NNI's format. No torch and no NNI here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..hparams import check_value, spec_of


def clipped(name: str, value: Any) -> Any:
    """The nearest value within the bounds of the hyperparameter `name`: a normal distribution knows none."""
    bounds = spec_of(name).metadata
    if (
        "choices" in bounds
        or isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
    ):
        return value
    low = bounds["low"] + (1e-6 if bounds["open_low"] else 0)
    high = bounds["high"] - (1e-6 if bounds["open_high"] else 0)
    return int(min(max(value, low), high)) if bounds["whole"] else min(max(value, low), high)


def flat(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """A tuner's suggestion without nested choices: {"stressor": {"_name": "weaken", "stress_peak": 1}} names two values."""
    found = {}
    for name, value in suggestion.items():
        if isinstance(value, Mapping):
            found[name] = value["_name"]
            found.update(
                flat({inner: choice for inner, choice in value.items() if inner != "_name"})
            )
        else:
            found[name] = value
    return {name: clipped(name, value) for name, value in found.items()}


# How many numbers each type of NNI's search space takes; of a range, the first two are its ends.
_RANGES = {"uniform": 2, "quniform": 3, "loguniform": 2, "qloguniform": 3, "randint": 2}
_NORMALS = {"normal": 2, "qnormal": 3, "lognormal": 2, "qlognormal": 3}
_TYPES = {**_RANGES, **_NORMALS}


def check_search_space(space: Any) -> None:
    """Check an NNI search space over these hyperparameters, nested choices included.

    Raises
    ------
    ValueError
        Naming the first parameter that is unknown, malformed, or may take a value out of its bounds.
    TypeError
        If an end of a range, or a choice, is not a number where one is expected.
    """
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            f"the search space must name at least one stress parameter, but got {space!r}"
        )
    units = space.get("stress_unit", {})
    unit = units["_value"][0] if isinstance(units, Mapping) and units.get("_value") else "share"
    _check_level(space, unit, set())


def _check_level(space: Mapping, unit: str, named: set) -> None:
    """Check one level of a space; `named` are the parameters of the levels around it, which it must not name again."""
    for name in space:
        spec_of(name)
        if name in named:
            raise ValueError(f"search space of {name}: a nested choice names it again")
    for name, spec in space.items():
        if not isinstance(spec, Mapping) or set(spec) != {"_type", "_value"}:
            raise ValueError(
                f"search space of {name}: expected {{_type: ..., _value: [...]}}, but got {spec!r}"
            )
        kind, values = spec["_type"], spec["_value"]
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(
                f"search space of {name}: _value must be a list of values, but got {values!r}"
            )
        if kind == "choice":
            _check_choices(name, values, unit, named | set(space))
        elif kind in _TYPES:
            _check_distribution(name, kind, values, unit)
        else:
            raise ValueError(
                f"search space of {name}: _type must be one of {', '.join(['choice', *_TYPES])}, but got {kind!r}"
            )


def _check_choices(name, values, unit, named) -> None:
    nested = [isinstance(value, Mapping) for value in values]
    if any(nested) and not (all(nested) and all("_name" in value for value in values)):
        raise ValueError(
            f"search space of {name}: a nested choice is a list of mappings with _name, but got {values!r}"
        )
    for value in values:
        _check_one(name, value["_name"] if any(nested) else value, unit)
        if any(nested):
            _check_level(
                {inner: spec for inner, spec in value.items() if inner != "_name"}, unit, named
            )


def _check_distribution(name, kind, values, unit) -> None:
    if len(values) != _TYPES[kind]:
        raise ValueError(
            f"search space of {name}: {kind} takes {_TYPES[kind]} numbers, but got {values!r}"
        )
    for value in values:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise TypeError(f"search space: {name} must be a number, but got {value!r}")
    if len(values) == 3 and values[2] <= 0:
        raise ValueError(
            f"search space of {name}: the step of {kind} must be above 0, but got {values!r}"
        )
    if kind in _NORMALS:
        _check_one(name, values[0] if "log" not in kind else math.exp(min(values[0], 700)), unit)
        if values[1] <= 0:
            raise ValueError(
                f"search space of {name}: the deviation of {kind} must be above 0, but got {values!r}"
            )
        return
    for value in values[:2]:
        _check_one(name, value, unit)
    if not values[0] < values[1]:
        raise ValueError(
            f"search space of {name}: its low end must be below its high end, but got {values!r}"
        )
    if "log" in kind and values[0] <= 0:
        raise ValueError(f"search space of {name}: {kind} must start above 0, but got {values!r}")


def _check_one(name, value, unit) -> None:
    try:
        check_value(name, value, unit)
    except (TypeError, ValueError) as error:
        raise type(error)(f"search space: {error}") from None
