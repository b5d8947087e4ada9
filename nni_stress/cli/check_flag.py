"""The option ``--check`` of a trial's script, taken before the script parses its own options.

This module imports neither torch nor NNI, as ``import nni_stress`` runs it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

OPTION = "--check"
_taken: list[str] = []


def take() -> None:
    """Take the option from `sys.argv`, if the program that runs is a trial's script.

    That is a program whose main file calls `run_trial`. Calling this again changes nothing.

    Examples
    --------
    >>> take()
    """
    asked = [word for word in sys.argv[1:] if word.partition("=")[0] == OPTION]
    if asked and _calls_run_trial():
        _taken[:] = asked
        sys.argv[1:] = [word for word in sys.argv[1:] if word not in asked]


def asked() -> str | None:
    """The file that the option names; "" if it names none; None if the option was not given.

    Examples
    --------
    >>> asked() is None
    True
    """
    return _taken[-1].partition("=")[2] if _taken else None


def _calls_run_trial() -> bool:
    file = getattr(sys.modules["__main__"], "__file__", None)
    with suppress(OSError, TypeError, ValueError):
        return b"run_trial" in Path(file).read_bytes()  # type: ignore[arg-type]
    return False
