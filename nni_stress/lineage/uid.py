"""Names of offspring. They become paths on disk, so their form is checked where they are read."""

from __future__ import annotations

import re
from typing import Any

UID_FORM = re.compile(r"g[0-9]{3,6}-[0-9]{2,6}\Z")


def uid_of(generation: int, slot: int) -> str:
    """The name of an offspring, from its generation and its position in it.

    Examples
    --------
    >>> uid_of(1, 2)
    'g001-02'
    """
    return f"g{generation:03d}-{slot:02d}"


def check_uid(uid: Any) -> str:
    """Return the name of an offspring, or refuse what is not one.

    Raises
    ------
    ValueError
        If `uid` is not exactly of the form that `uid_of` makes.

    Examples
    --------
    >>> check_uid("g001-02")
    'g001-02'
    >>> check_uid("../../etc")
    Traceback (most recent call last):
        ...
    ValueError: an offspring is named like g001-00, but got '../../etc'
    """
    if not isinstance(uid, str) or not UID_FORM.match(uid):
        raise ValueError(f"an offspring is named like g001-00, but got {uid!r}")
    return uid


def generation_of(uid: str) -> int:
    """The generation that the name of an offspring states.

    Examples
    --------
    >>> generation_of("g012-00")
    12
    """
    return int(check_uid(uid)[1:].split("-")[0])


FOUNDER = uid_of(0, 0)
