"""Replaces attributes of NNI's modules and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def replace_attribute(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute, which may be private, by what `make` returns for its present value.

    Examples
    --------
    >>> class Owner:
    ...     _limit = 3
    >>> replace_attribute(Owner, "_limit", lambda limit: 5 * limit)
    >>> Owner._limit
    15
    """
    setattr(owner, name, make(getattr(owner, name)))
