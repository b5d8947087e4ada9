"""StressTuner's arguments: what they may be. An experiment file's classArgs are checked by this before anything starts."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping

from .selection import RESOURCES

_LEAST_WHOLE = {"population_size": 1, "generations": 1, "survivors": 1, "patience": 0, "seed": 0}
_LEAST_NUMBER = {"tolerance": 0, "target_efficiency": 1, "time_limit": 1}
_OPTIONAL = ("target_efficiency", "time_limit")


def check_arguments(arguments: Mapping, space: Mapping | None = None) -> None:
    """Check StressTuner's arguments, and that the search they name runs on a search space.

    Raises
    ------
    ValueError, TypeError
        Naming the first argument that is unknown or wrong, what it is and what it should be.
    """
    from .search import Search
    from .tuner import StressTuner

    known = [
        name
        for name in inspect.signature(StressTuner.__init__).parameters
        if name not in ("self", "unknown")
    ]
    for name, _value in arguments.items():
        if name not in known:
            raise TypeError(
                f"unknown argument {name!r} of StressTuner; known are {', '.join(known)}"
            )
    check_values(arguments)
    if not isinstance(arguments.get("folder") or "", str):
        raise ValueError(f"folder must be a path, but got {arguments['folder']!r}")
    if not isinstance(arguments.get("search_args") or {}, Mapping):
        raise ValueError(f"search_args must be a mapping, but got {arguments['search_args']!r}")
    search = Search(arguments.get("search", "TPE"), arguments.get("search_args"))
    search.probe(space or {"temperature": {"_type": "uniform", "_value": [0, 1]}})


def check_values(arguments: Mapping) -> None:
    """Check those of StressTuner's arguments that NNI has no part in, among them the rules of the evolution."""
    for name, value in arguments.items():
        if name in _LEAST_WHOLE and (type(value) is not int or value < _LEAST_WHOLE[name]):
            raise ValueError(
                f"{name} must be a whole number of at least {_LEAST_WHOLE[name]}, but got {value!r}"
            )
        if name in _LEAST_NUMBER and not (value is None and name in _OPTIONAL):
            _check_number(name, value, _LEAST_NUMBER[name])
    if not isinstance(arguments.get("early_ending", False), bool):
        raise ValueError(
            f"early_ending must be true or false, but got {arguments['early_ending']!r}"
        )
    if arguments.get("parents", 1) not in (1, 2) or isinstance(arguments.get("parents", 1), bool):
        raise ValueError(f"parents must be 1 or 2, but got {arguments['parents']!r}")
    if arguments.get("parents", 1) == 2 and arguments.get("survivors", 1) < 2:
        raise ValueError(
            f"parents=2 needs at least 2 survivors, but got {arguments.get('survivors', 1)}"
        )
    _check_resources(arguments.get("resource", "parameters"), arguments.get("constraints"))
    _check_share("quorum", arguments.get("quorum", 1.0))


def _check_resources(resource, constraints) -> None:
    if resource not in RESOURCES:
        raise ValueError(f"resource must be one of {', '.join(RESOURCES)}, but got {resource!r}")
    if not isinstance(constraints or {}, Mapping):
        raise ValueError(
            f"constraints must be {{resource: share of the founder's}}, but got {constraints!r}"
        )
    for name, share in (constraints or {}).items():
        if name not in RESOURCES:
            raise ValueError(f"constraints are on {', '.join(RESOURCES)}, but got {name!r}")
        _check_share(f"constraint on {name}", share)


def _check_number(name, value, least) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be a number of at least {least}, but got {value!r}")


def _check_share(name, value) -> None:
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise ValueError(f"{name} must be a share in (0, 1], but got {value!r}")
