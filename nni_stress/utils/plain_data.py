"""Plain data (mappings, lists, texts, numbers) that others wrote: parsed and bounded.

What is nested too deeply, or has numbers too long to be written, would break code far from here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

_CONTAINERS = (Mapping, list, tuple)
_DEPTH = 64  # of mappings and lists in one another
_DIGITS = 100  # of a whole number
_BITS = 333  # of a whole number of that many digits


def check_plain(data: Any) -> None:
    """Check that plain data are neither nested too deeply, nor hold enormous whole numbers.

    Raises
    ------
    ValueError
        If they are or do.

    Examples
    --------
    >>> check_plain({"lr": [0.1, 10**50]})
    >>> check_plain({"lr": 10**5000})
    Traceback (most recent call last):
    ValueError: whole numbers must have at most 100 digits, but one is longer
    """
    for container in containers(data):
        if any(type(value) is int and value.bit_length() > _BITS for value in parts(container)):
            raise _too_long()


def is_finite(data: Any) -> bool:
    """Whether plain data can be written as JSON, which has no notation for NaN and infinity.

    Examples
    --------
    >>> is_finite({"lr": [0.1]}), is_finite({"lr": [math.nan]})
    (True, False)
    """
    return not any(
        isinstance(value, float) and not math.isfinite(value)
        for container in containers(data)
        for value in parts(container)
    )


def containers(data: Any) -> Iterator[Any]:
    """Each mapping and list of plain data, or the data themselves if they are neither.

    Raises
    ------
    ValueError
        If they are nested too deeply, or contain themselves.

    Examples
    --------
    >>> list(containers({"lr": [0.1, 0.2]}))
    [{'lr': [0.1, 0.2]}, [0.1, 0.2]]
    """
    level = [data]
    for _ in range(_DEPTH):
        yield from level
        inner = [part for container in level for part in parts(container)]
        # The same object may be in several places, as by an alias of YAML.
        level = list({id(part): part for part in inner if isinstance(part, _CONTAINERS)}.values())
        if not level:
            return
    raise _too_deep()


def parts(container: Any) -> list[Any]:
    """The keys and values of a mapping, or the values of a list; anything else has one part.

    Examples
    --------
    >>> parts({"lr": [0.1, 0.2]}), parts([1, 2]), parts("text")
    (['lr', [0.1, 0.2]], [1, 2], ['text'])
    """
    if isinstance(container, Mapping):
        return [*container, *container.values()]
    return list(container) if isinstance(container, (list, tuple)) else [container]


def _too_deep() -> ValueError:
    return ValueError(f"mappings and lists may be nested {_DEPTH} deep, but are deeper")


def _too_long() -> ValueError:
    return ValueError(f"whole numbers must have at most {_DIGITS} digits, but one is longer")


def _whole_number(text: str) -> int:
    if len(text) > _DIGITS:
        raise _too_long()
    return int(text)


def parse_json(text: str | bytes) -> Any:
    """Parse JSON. ``NaN`` and ``Infinity``, which JSON does not have, are read as NaN.

    Raises
    ------
    ValueError
        If it is not JSON, or `check_plain` refuses it; in one line that does not name the file.

    Examples
    --------
    >>> parse_json('{"generation": 1, "loss": NaN}')
    {'generation': 1, 'loss': nan}
    """
    try:
        data = json.loads(text, parse_constant=lambda name: math.nan, parse_int=_whole_number)
    except RecursionError:
        raise _too_deep() from None
    check_plain(data)
    return data
