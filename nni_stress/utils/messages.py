"""Errors as one line of text."""

from __future__ import annotations

import traceback

# In a checkout trials and reports are packages of their own.
_OUR_PACKAGES = ("nni_stress", "trials", "reports")


def one_line(error: BaseException) -> str:
    """An error as one line that begins with its type, as in ``KeyError: 'labels'``.

    A message that this package raised itself is a sentence for users already; it goes without
    the type.

    Parameters
    ----------
    error
        Any exception, with its traceback if it was raised.

    Returns
    -------
    str
        One line; the type alone where the error has no message.

    Examples
    --------
    >>> try:
    ...     {}["labels"]
    ... except KeyError as error:
    ...     one_line(error)
    "KeyError: 'labels'"
    """
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if not text:
        frames = traceback.extract_tb(error.__traceback__)
        asserted = frames[-1].line if frames and isinstance(error, AssertionError) else None
        return f"{kind}: {asserted}" if asserted else kind
    return text if _is_ours(error) else f"{kind}: {text}"


def _is_ours(error: BaseException) -> bool:
    """Whether code of this package raised the error deliberately."""
    if isinstance(error, (LookupError, AttributeError, ArithmeticError)):
        return False
    if isinstance(error, OSError) and error.errno is not None:  # of the operating system
        return False
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    module = "" if frame is None else str(frame.tb_frame.f_globals.get("__name__", ""))
    return module.split(".")[0] in _OUR_PACKAGES
