"""Errors that end a whole experiment, not one trial."""

from __future__ import annotations

from contextlib import contextmanager


class InputError(ValueError):
    """Something every offspring needs is wrong: the data, the founder. No other trial would fare better."""


@contextmanager
def _fatal():
    try:
        yield
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        raise InputError(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
