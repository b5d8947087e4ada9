"""Cells that several processes share: each is run by one of them, and recorded once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def claimed(file: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock, which ends with the process; gives whether it was free.

    Parameters
    ----------
    file
        The lock's file, which is made with its folder.
    wait
        Whether to wait until it is free.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "cell.lock")
    >>> with claimed(file) as free, claimed(file) as again:
    ...     free, again
    (True, False)
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
