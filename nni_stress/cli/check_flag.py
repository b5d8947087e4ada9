"""The option ``--check`` of a trial's script, taken before the script parses its own options.

This module imports neither torch nor NNI, as ``import nni_stress`` runs it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ..trial.checking.report import Finding, State
from ..utils.messages import one_line

OPTION = "--check"
_taken: list[str] = []


def take() -> None:
    """Take the option from `sys.argv`, if the program that runs is a trial's script.

    That is a program whose main file calls `run_trial`. What it raises from now on, before that
    call, is shown in one line. Calling this again changes nothing.

    Examples
    --------
    >>> take()
    """
    given = [word for word in sys.argv[1:] if word.partition("=")[0] == OPTION]
    if given and _calls_run_trial():
        _taken[:] = given
        sys.excepthook = _show
        sys.argv[1:] = [word for word in sys.argv[1:] if word not in given]


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


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, Exception):
        print(Finding(State.FAULT, "script", one_line(error.with_traceback(trace))), flush=True)
    else:
        sys.__excepthook__(kind, error, trace)
