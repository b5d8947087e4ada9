"""Files and folders that are not complete yet, under hidden names beside what they will become.

Their writer holds a lock on them, which the kernel releases when the writer ends in whatever way.
So what a killed writer left can be told from what is being written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_NAME = re.compile(r"\.(.+)\.[0-9a-f]{16}")


@contextmanager
def file_beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a new file in the same folder. It is removed at the end, unless it was renamed.

    Parameters
    ----------
    path
        What the file will become.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "state.json"
    >>> with file_beside(path) as (temporary, file):
    ...     temporary.name.startswith(".state.json."), file.writable()
    (True, True)
    >>> temporary.exists()
    False
    """
    temporary, file = _new_file(path)
    try:
        with file:
            yield temporary, file
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Make a new folder in the same folder. It is removed at the end, unless it was renamed.

    Parameters
    ----------
    path
        What the folder will become.

    Examples
    --------
    >>> import tempfile
    >>> with folder_beside(Path(tempfile.mkdtemp()) / "offspring") as temporary:
    ...     temporary.is_dir()
    True
    >>> temporary.exists()
    False
    """
    temporary, handle = _new_folder(path)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def remove_leftovers(folder: Path, name: str | None = None) -> list[str]:
    """Remove what killed writers left in a folder; what is being written stays.

    Parameters
    ----------
    folder
        The folder, which need not exist.
    name
        Name of what was to be written; None: of anything.

    Returns
    -------
    list of str
        Names of the files and folders that were removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / ".state.json.0123456789abcdef").write_text("a part")
    >>> with file_beside(folder / "state.json"):
    ...     remove_leftovers(folder)
    ['.state.json.0123456789abcdef']
    """
    removed = []
    for path in sorted(folder.glob(".*.*")):
        found = _NAME.fullmatch(path.name)
        if found and name in (None, found[1]):
            with contextlib.suppress(OSError):  # its writer lives, or was just finishing
                _remove(path)
                removed.append(path.name)
    return removed


def _remove(path: Path) -> None:
    """Remove a file or folder; raises an OSError if it is locked."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _new_file(path: Path) -> tuple[Path, BinaryIO]:
    while True:
        temporary = _beside(path)
        file = open(temporary, "xb")  # noqa: SIM115, closed by the caller
        if _locked(file.fileno()):
            return temporary, file
        file.close()


def _new_folder(path: Path) -> tuple[Path, int]:
    while True:
        temporary = _beside(path)
        temporary.mkdir()
        try:
            handle = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # it was taken for a leftover
            continue
        if _locked(handle):
            return temporary, handle
        os.close(handle)


def _locked(handle: int) -> bool:
    """Lock what is open; false if it was taken for a leftover before that, and removed."""
    with contextlib.suppress(OSError):  # without locks on its disk, nothing is taken for a leftover
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fstat(handle).st_nlink > 0
