"""Patch of how nnictl waits for NNI's manager."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType

from .attributes import replace_attribute

_TRIES = 15  # about one a second


def patch_waiting(launcher: ModuleType) -> None:
    """Let nnictl wait fifteen seconds for the manager's first answer.

    Defect: NNI waits three seconds, which is too short on a busy machine.
    """

    def with_more_tries(check: Callable[..., None]) -> Callable[..., None]:
        if inspect.signature(check).parameters["retry"].default >= _TRIES:
            return check
        return functools.partial(check, retry=_TRIES)

    replace_attribute(launcher, "_check_rest_server", with_more_tries)
