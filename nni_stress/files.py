"""Files that are either whole or not there."""
from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file such that a reader, or a power cut, finds the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, atomically. NaN and infinity are a ValueError: JSON has neither."""
    write_atomically(path, json.dumps(data, indent=1, allow_nan=False).encode())


def read_json(path: Path) -> Any:
    """Read JSON; a file that holds none is a ValueError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda text: math.nan)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
