"""Search spaces over the hyperparameters of a generation, in NNI's format.

This module imports neither torch nor NNI.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..hparams import Bounds, check_value, spec_of
from ..utils.registry import is_own_name

# How many numbers each type of a range takes, of which the first two are its ends; and each type of
# a normal distribution.
_RANGES = {"uniform": 2, "quniform": 3, "loguniform": 2, "qloguniform": 3, "randint": 2}
_NORMALS = {"normal": 2, "qnormal": 3, "lognormal": 2, "qlognormal": 3}
_TYPES = {**_RANGES, **_NORMALS}


def fixed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A search space in which each hyperparameter has one value.

    Examples
    --------
    >>> fixed({"candidates": 30})
    {'candidates': {'_type': 'choice', '_value': [30]}}
    """
    return {name: {"_type": "choice", "_value": [value]} for name, value in values.items()}


def clipped(name: str, value: Any) -> Any:
    """The nearest value within the bounds of a hyperparameter; normal distributions exceed them.

    Parameters
    ----------
    name
        Name of the hyperparameter.
    value
        The value; a choice, or what is no finite number, is returned as it is.

    Examples
    --------
    >>> clipped("temperature", 99.0)
    10.0
    """
    bounds: Bounds | None = spec_of(name).metadata.get("bounds")
    return bounds.clip(value) if bounds is not None and _is_number(value) else value


def flat(suggestion: Mapping[str, Any]) -> dict[str, Any]:
    """A tuner's suggestion without nested choices, each value within its bounds.

    Raises
    ------
    ValueError
        If a name is unknown.

    Examples
    --------
    >>> flat({"stressor": {"_name": "weaken", "stress_peak": 1.0}, "floor": 2})
    {'stressor': 'weaken', 'stress_peak': 1.0, 'floor': 2}
    """
    found: dict[str, Any] = {}
    for name, value in suggestion.items():
        if isinstance(value, Mapping):
            found[name] = value["_name"]
            found.update(flat(_inner(value)))
        else:
            found[name] = value
    return {name: clipped(name, value) for name, value in found.items()}


def check_search_space(space: Any) -> None:
    """Check an NNI search space over these hyperparameters, nested choices included.

    Parameters
    ----------
    space
        {name: {"_type": ..., "_value": [...]}}.

    Raises
    ------
    ValueError
        Naming the first parameter that is unknown, malformed, or may take a value out of its
        bounds.
    TypeError
        If an end of a range, or a choice, is not a number where one is expected.

    Examples
    --------
    >>> check_search_space({"temperature": {"_type": "loguniform", "_value": [0.01, 1]}})
    >>> check_search_space({"temperature": {"_type": "uniform", "_value": [0, 99]}})
    Traceback (most recent call last):
        ...
    ValueError: search space: temperature must lie in [0, 10], but got 99
    """
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            f"the search space must name at least one stress parameter, but got {space!r}"
        )
    units = space.get("stress_unit", {})
    unit = units["_value"][0] if isinstance(units, Mapping) and units.get("_value") else "share"
    _check_level(space, unit, set())


def names_in(space: Mapping[str, Any]) -> set[str]:
    """All parameters that a valid search space names, in nested choices, too.

    Examples
    --------
    >>> weaken = {"_name": "weaken", "stress_peak": {"_type": "uniform", "_value": [0, 1]}}
    >>> sorted(names_in({"stressor": {"_type": "choice", "_value": [weaken]}}))
    ['stress_peak', 'stressor']
    """
    found = set(space)
    for entry in space.values():
        for value in entry["_value"]:
            if isinstance(value, Mapping):
                found |= names_in(_inner(value))
    return found


def own_names_in(space: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the user's that a valid search space has, as ``my::name``, by their parameter.

    Examples
    --------
    >>> own_names_in({"strength": {"_type": "choice", "_value": ["taylor", "my::variance"]}})
    {'strength': ['my::variance']}
    """
    found: dict[str, list[str]] = {}
    for name, entry in space.items():
        for value in entry["_value"]:
            inner = own_names_in(_inner(value)) if isinstance(value, Mapping) else {}
            for nested, values in inner.items():
                found.setdefault(nested, []).extend(values)
            chosen = value["_name"] if isinstance(value, Mapping) else value
            if is_own_name(chosen):
                found.setdefault(name, []).append(chosen)
    return found


def _check_level(space: Mapping[str, Any], unit: str, outer: set[str]) -> None:
    """Check one level of a space, which must not name a parameter of the `outer` levels again."""
    for name in space:
        spec_of(name)
        if name in outer:
            raise ValueError(f"search space of {name}: a nested choice names it again")
    for name, entry in space.items():
        if not isinstance(entry, Mapping) or set(entry) != {"_type", "_value"}:
            raise ValueError(
                f"search space of {name}: expected {{_type: ..., _value: [...]}}, but got {entry!r}"
            )
        kind = entry["_type"]
        values = entry["_value"]
        if not isinstance(values, (list, tuple)) or not values:
            raise ValueError(
                f"search space of {name}: _value must be a list of values, but got {values!r}"
            )
        if kind == "choice":
            _check_choices(name, values, unit, outer | set(space))
        elif kind in _TYPES:
            _check_distribution(name, kind, values, unit)
        else:
            raise ValueError(
                f"search space of {name}: _type must be one of {', '.join(['choice', *_TYPES])}, "
                f"but got {kind!r}"
            )


def _check_choices(name: str, values: Sequence[Any], unit: str, outer: set[str]) -> None:
    nested = [isinstance(value, Mapping) for value in values]
    if any(nested) and not (all(nested) and all("_name" in value for value in values)):
        raise ValueError(
            f"search space of {name}: a nested choice is a list of mappings with _name, "
            f"but got {values!r}"
        )
    for value in values:
        if any(nested):
            _check_value(name, value["_name"], unit)
            _check_level(_inner(value), unit, outer)
        else:
            _check_value(name, value, unit)


def _check_distribution(name: str, kind: str, values: Sequence[Any], unit: str) -> None:
    if len(values) != _TYPES[kind]:
        raise ValueError(
            f"search space of {name}: {kind} takes {_TYPES[kind]} numbers, but got {values!r}"
        )
    for value in values:
        if not _is_number(value):
            raise TypeError(f"search space: {name} must be a number, but got {value!r}")
    if len(values) == 3 and values[2] <= 0:
        raise ValueError(
            f"search space of {name}: the step of {kind} must be above 0, but got {values!r}"
        )
    if kind in _NORMALS:
        _check_normal(name, kind, values, unit)
    else:
        _check_range(name, kind, values, unit)


def _check_normal(name: str, kind: str, values: Sequence[float], unit: str) -> None:
    center = math.exp(min(values[0], 700)) if "log" in kind else values[0]
    _check_value(name, center, unit)
    if values[1] <= 0:
        raise ValueError(
            f"search space of {name}: the deviation of {kind} must be above 0, but got {values!r}"
        )


def _check_range(name: str, kind: str, values: Sequence[float], unit: str) -> None:
    for value in values[:2]:
        _check_value(name, value, unit)
    if not values[0] < values[1]:
        raise ValueError(
            f"search space of {name}: its low end must be below its high end, but got {values!r}"
        )
    if "log" in kind and values[0] <= 0:
        raise ValueError(f"search space of {name}: {kind} must start above 0, but got {values!r}")


def _check_value(name: str, value: Any, unit: str) -> None:
    try:
        check_value(name, value, unit)
    except (TypeError, ValueError) as error:
        raise type(error)(f"search space: {error}") from None


def _inner(choice: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters nested in a choice."""
    return {name: value for name, value in choice.items() if name != "_name"}


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return -math.inf < value < math.inf  # math.isfinite takes no 1000 digits
