"""Errors that end a whole experiment rather than one trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..utils.messages import one_line


class InputError(ValueError):
    """Something that every trial needs is wrong, such as the data or the founder.

    Every other trial would fail in the same way.

    Examples
    --------
    >>> raise InputError("data folder /nowhere does not exist")
    Traceback (most recent call last):
        ...
    nni_stress.trial.errors.InputError: data folder /nowhere does not exist
    """


@contextmanager
def fatal() -> Iterator[None]:
    """Turn errors of the block into an `InputError`.

    Raises
    ------
    InputError
        If the block raised any exception; with its type, message and place in the user's code.

    Examples
    --------
    >>> try:
    ...     with fatal():
    ...         raise OSError("data folder /nowhere does not exist")
    ... except InputError as error:
    ...     print(error)
    OSError: data folder /nowhere does not exist
    """
    try:
        yield
    except Exception as error:
        raise InputError(one_line(error)) from error
