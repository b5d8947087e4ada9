"""What this package logs, and how much of it is shown."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "NNI_STRESS_LOG"
LEVELS = ("debug", "info", "warning", "error")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_logging(default: str) -> None:
    """Show this package's messages on stderr, unless the user's code has set up logging itself.

    Parameters
    ----------
    default
        The least level that is shown where the environment variable NNI_STRESS_LOG names none:
        "debug" (every epoch), "info" (every offspring), "warning" or "error".

    Raises
    ------
    ValueError
        If the variable names no level.

    Examples
    --------
    >>> start_logging("warning")
    >>> logging.getLogger("nni_stress").isEnabledFor(logging.WARNING)
    True
    """
    level = os.environ.get(VARIABLE, default).lower()
    if level not in LEVELS:
        raise ValueError(f"{VARIABLE} must be one of {', '.join(LEVELS)}, but is {level!r}")
    logger = logging.getLogger("nni_stress")
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    if logger.level == logging.NOTSET or VARIABLE in os.environ:
        logger.setLevel(level.upper())


@contextmanager
def quieted(name: str, level: int) -> Iterator[None]:
    """Within the block, a logger shows nothing below a level.

    Parameters
    ----------
    name
        The logger's name.
    level
        One of those of :mod:`logging`.

    Examples
    --------
    >>> with quieted("nni", logging.ERROR):
    ...     logging.getLogger("nni").isEnabledFor(logging.WARNING)
    False
    """
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
