"""Files that are written completely or not at all, and that hold plain data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..exceptions import DamagedFileError
from . import temporaries
from .messages import one_line
from .plain_data import check_plain, containers, parse_json
from .regular_files import open_regular, read_text


def refuse_code(data: Any) -> None:
    """Check that plain data has no key like ``__symbol__``, at which NNI's serializer runs code.

    Parameters
    ----------
    data
        Plain data: dictionaries, lists and tuples in one another.

    Raises
    ------
    ValueError
        If a key begins with two underscores, or `check_plain` refuses the data.

    Examples
    --------
    >>> refuse_code({"lr": [0.1, 0.2]})
    >>> refuse_code({"lr": {"__symbol__": "path:os.system"}})
    Traceback (most recent call last):
    ValueError: plain data expected, but got the key '__symbol__', by which NNI runs code
    """
    check_plain(data)
    for container in containers(data):
        for key in container if isinstance(container, Mapping) else ():
            if isinstance(key, str) and key.startswith("__"):
                raise ValueError(
                    f"plain data expected, but got the key {key!r}, by which NNI runs code"
                )


@contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that replaces `path` when the ``with`` block ends without an error.

    A reader finds the old content or the new content, never a part of it, also after a power cut.
    Missing folders are made.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomically(folder / "data.bin") as file:
    ...     _ = file.write(b"content")
    ...     (folder / "data.bin").exists()
    False
    >>> (folder / "data.bin").read_bytes()
    b'content'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporaries.file_beside(path) as (temporary, file):
        yield file
        file.flush()
        os.fsync(file.fileno())
        os.replace(temporary, path)
    sync(path.parent)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file completely or not at all; missing folders are made.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "runs" / "data.bin"
    >>> write_atomically(file, b"content")
    >>> file.read_bytes()
    b'content'
    """
    with atomically(path) as file:
        file.write(content)


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk.

    What is written afterwards may rely on it, also after a power cut.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data.bin"
    >>> _ = file.write_bytes(b"content")
    >>> sync(file)
    >>> sync(file.parent)  # now the file's name is on the disk, too
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """BLAKE2b hash (16 bytes) of a file's content, in hexadecimal digits.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "data.bin"
    >>> write_atomically(file, b"content")
    >>> digest(file)
    'c681ff421fbd7af6dc373a7ced20fbeb'
    """
    with open_regular(path) as file:
        return digest_of(file)


def digest_of(file: BinaryIO) -> str:
    """The same hash of the rest of an open file.

    Examples
    --------
    >>> import io
    >>> digest_of(io.BytesIO(b"content"))
    'c681ff421fbd7af6dc373a7ced20fbeb'
    """
    hasher = hashlib.blake2b(digest_size=16)
    while block := file.read(1 << 20):
        hasher.update(block)
    return hasher.hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, completely or not at all.

    Raises
    ------
    ValueError
        If the data has NaN or infinity, for which JSON has no notation.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "state.json"
    >>> write_json(file, {"generation": 1})
    >>> read_json(file)
    {'generation': 1}
    """
    write_atomically(path, json.dumps(data, indent=1, allow_nan=False).encode())


def read_json(path: Path, most: int = 2**25) -> Any:
    """Read a JSON file. ``NaN`` and ``Infinity``, which JSON does not have, are read as NaN.

    Parameters
    ----------
    path
        The file.
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        If the file cannot be opened.
    DamagedFileError
        If it is no regular file, too large, or does not hold JSON; the message names the file.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "state.json"
    >>> _ = file.write_text('{"generation": 1, "loss": NaN}')
    >>> read_json(file)
    {'generation': 1, 'loss': nan}
    """
    text = read_text(path, most)
    try:
        return parse_json(text)
    except ValueError as error:
        raise DamagedFileError(f"{path} is damaged: {one_line(error)}") from None
