"""Opening of files that others may have made: regular files of a bounded size, and nothing else.

To open a FIFO would wait for ever, and to read a device or a sparse file would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ..exceptions import DamagedFileError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(
    path: str | Path, most: int | None = None, inside: str | Path | None = None
) -> BinaryIO:
    """Open a regular file for reading, without ever waiting for it.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that it may have; None: any number.
    inside
        Folder that the file must be in; the file may then be no symbolic link, and no folder on its
        way may be one that leads out. None: anywhere.

    Raises
    ------
    DamagedFileError
        If it is something else, larger, or outside of that folder.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "data.bin").write_bytes(b"content")
    >>> with open_regular(folder / "data.bin", most=10) as file:
    ...     file.read()
    b'content'
    >>> open_regular("/dev/null")
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.DamagedFileError: /dev/null must be a regular file, but is a device
    """
    if inside is not None and not Path(path).parent.resolve().is_relative_to(
        Path(inside).resolve()
    ):
        raise DamagedFileError(f"{path} must lie in {inside}, but a symbolic link leads out of it")
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if inside is None else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _wrong_kind(path, "a symbolic link") from None
        if error.errno == errno.ENXIO:
            raise _wrong_kind(path, "a socket") from None
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _wrong_kind(path, _KINDS.get(stat.S_IFMT(found.st_mode), "not"))
        if most is not None and found.st_size > most:
            raise DamagedFileError(
                f"{path} must have at most {most:,} bytes, but has {found.st_size:,}"
            )
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def _wrong_kind(path: str | Path, kind: str) -> DamagedFileError:
    return DamagedFileError(f"{path} must be a regular file, but is {kind}")


def read_regular(path: str | Path, most: int) -> bytes:
    """Read a regular file of at most `most` bytes; errors as of `open_regular`.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data.bin"
    >>> _ = file.write_bytes(b"content")
    >>> read_regular(file, most=10)
    b'content'
    """
    with open_regular(path, most) as file:
        return file.read(most)


def read_text(path: str | Path, most: int) -> str:
    """Read a regular file of at most `most` bytes as UTF-8 text; errors as of `open_regular`.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data.txt"
    >>> _ = file.write_text("content")
    >>> read_text(file, most=10)
    'content'
    """
    try:
        return read_regular(path, most).decode()
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f"{path} is damaged: it is not UTF-8 text from byte {error.start} on"
        ) from None


def check_regular(path: str | Path, most: int | None = None) -> None:
    """Check a file that a library will open by its name; errors as of `open_regular`.

    Examples
    --------
    >>> check_regular("/")
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.DamagedFileError: / must be a regular file, but is a folder
    """
    open_regular(path, most).close()
