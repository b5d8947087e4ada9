"""Files that are either whole or not there, and hold plain data."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def refuse_code(data: Any) -> None:
    """Raise a ValueError where plain data holds a key like ``__symbol__``: by such keys NNI's serializer runs code."""
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(key, str) and key.startswith("__"):
                raise ValueError(
                    f"plain data expected, but got the key {key!r}, by which NNI runs code"
                )
            refuse_code(value)
    elif isinstance(data, (list, tuple)):
        for value in data:
            refuse_code(value)


@contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which a reader, or a power cut, finds with its old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path) -> Path:
    """A name in the same folder for what is not whole yet. Nothing is there yet: its mode will be that of any new file."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole, or not at all."""
    with atomically(path) as file:
        file.write(content)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk itself before anything that relies on it is written."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """BLAKE2b of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        found = hashlib.blake2b(digest_size=16)
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, atomically. NaN and infinity are a ValueError: JSON has neither."""
    write_atomically(path, json.dumps(data, indent=1, allow_nan=False).encode())


def read_json(path: Path) -> Any:
    """Read JSON; a file that holds none is a ValueError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda text: math.nan)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
