"""Errors as one line of text, with the place in the user's code that they came from."""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parent
# A wheel has trials/ and reports/ inside the package, a checkout beside it. Elsewhere they are
# packages of the user's.
_OUR_FOLDERS = (
    _PACKAGE,
    *(_CHECKOUT / name for name in ("trials", "reports") if (_CHECKOUT / "setup.py").is_file()),
)
# Files of installed packages and of Python itself, and code that is in no file.
_NOT_THE_USERS = re.compile(r"/(site|dist)-packages/|/lib\d*/python3[^/]*/|^<")
_FRAME = re.compile(r'^ *File "(.+)", line (\d+)', re.MULTILINE)
_LETTERS = 2000  # of a message
_TRACEBACK = "Traceback (most recent call last):\n"


def one_line(error: BaseException) -> str:
    """An error as one line, as in ``KeyError: 'labels' (trial.py, line 12)``.

    A message that this package raised itself is a sentence for users already; it goes without
    the type. The place is where the innermost function of the user's own code was; it is left out
    if no such code was running.

    Parameters
    ----------
    error
        Any exception, with its traceback if it was raised.

    Returns
    -------
    str
        One line; the type in place of an empty message. The middle of a message of more than 2,000
        letters is left out.

    Examples
    --------
    >>> try:
    ...     {}["labels"]
    ... except KeyError as error:
    ...     one_line(error)
    "KeyError: 'labels'"
    """
    text = str(error)
    if f"\nOriginal {_TRACEBACK}" in text:  # torch's for an error in a worker of a DataLoader
        message, place = _exception_in(text), place_in(text)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        message = _message(error, frames)
        place = _place((frame.filename, frame.lineno or 0) for frame in frames)
    has_place = re.search(r"line \d+\)$", message)  # as that of a SyntaxError
    return message if place is None or has_place else f"{message} ({place})"


def place_in(text: str) -> str | None:
    r"""The place in the user's code that the last traceback of a text names.

    Parameters
    ----------
    text
        What a process wrote to stderr, for example.

    Returns
    -------
    str or None
        File and line; None if there is no traceback, or none of the user's code in it.

    Examples
    --------
    >>> place_in('Traceback (most recent call last):\n  File "/a/trial.py", line 12, in main\n')
    '/a/trial.py, line 12'
    """
    _, found, last = text.rpartition(_TRACEBACK)
    frames = _FRAME.findall(last) if found else []
    return _place((file, int(line)) for file, line in frames)


def raised_in(text: str) -> str | None:
    r"""The error at the end of a text that ends with a traceback, in one line.

    Parameters
    ----------
    text
        What a process wrote to stderr before it ended.

    Returns
    -------
    str or None
        Type, message, and place in the user's code; None if there is no traceback.

    Examples
    --------
    >>> frame = '  File "/a/trial.py", line 12, in main\n    import a\n'
    >>> raised_in(f"Traceback (most recent call last):\n{frame}ImportError: no a\n")
    'ImportError: no a (/a/trial.py, line 12)'
    """
    _, found, last = text.rpartition(_TRACEBACK)
    if not found or not _FRAME.search(last):
        return None
    place = place_in(text)
    return f"{_exception_in(text)}{f' ({place})' if place else ''}"


def _message(error: BaseException, frames: list[traceback.FrameSummary]) -> str:
    text = " ".join(str(error).split())
    if len(text) > _LETTERS:
        text = f"{text[: _LETTERS // 2]} ... {text[-_LETTERS // 2 :]}"
    kind = type(error).__name__
    if not text:
        asserted = frames[-1].line if frames and isinstance(error, AssertionError) else None
        return f"{kind}: {asserted}" if asserted else kind
    # This package raises none of these deliberately; errors with a number are the system's.
    accidental = isinstance(error, (LookupError, AttributeError, ArithmeticError))
    accidental = accidental or (isinstance(error, OSError) and error.errno is not None)
    is_sentence = not accidental and bool(frames) and _is_ours(frames[-1].filename)
    return text if is_sentence else f"{kind}: {text}"


def _exception_in(text: str) -> str:
    """The exception at the end of a traceback: what follows the indented lines of its frames."""
    *_, last_frame = _FRAME.finditer(text)
    lines = text[last_frame.end() :].splitlines()[1:]
    while lines and lines[0][:1].isspace():
        del lines[0]
    return " ".join(" ".join(lines).split())


def _place(frames: Iterable[tuple[str, int]]) -> str | None:
    users = [
        (file, line)
        for file, line in frames
        if not _NOT_THE_USERS.search(file) and not _is_ours(file)
    ]
    if not users:
        return None
    file, line = users[-1]
    with contextlib.suppress(OSError):  # this process's folder may be gone
        if Path(file).is_relative_to(Path.cwd()):
            file = str(Path(file).relative_to(Path.cwd()))
    return f"{file}, line {line}"


def _is_ours(file: str) -> bool:
    """Whether a file belongs to this package."""
    path = Path(os.path.realpath(file)) if os.path.isabs(file) else Path(file)
    return any(path.is_relative_to(folder) for folder in _OUR_FOLDERS)


def short(value: Any) -> str:
    """Return a value's representation, in at most 60 characters, for a message.

    Examples
    --------
    >>> short({"className": None})
    "{'className': None}"
    >>> len(short("x" * 1000))
    60
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
