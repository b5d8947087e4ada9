"""States of an offspring."""

from __future__ import annotations

from enum import Enum


class OffspringState(str, Enum):
    """What became of an offspring so far. The values are those shown in texts and pages.

    Examples
    --------
    >>> str(OffspringState.LOST), OffspringState.LOST == "lost"
    ('lost', True)
    """

    RECORDED = "recorded"  # it has a record and a network
    LOST = "lost"  # it failed; a file says why
    TAKEN = "taken"  # a trial is making it
    WAITING = "waiting"  # no trial has taken it yet
    LEFT = "left"  # its generation closed without it

    def __str__(self) -> str:
        return self.value
