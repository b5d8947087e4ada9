"""What a tuner does in NNI's own process beside answering NNI: its lock, and its threads."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ..nni_runtime.manager import die_with_manager


def lock_lineage(folder: Path, wait: bool = True) -> IO[str]:
    """Wait until no other tuner works on a lineage, which may take as long as an old one lives.

    Parameters
    ----------
    folder
        The lineage's folder, which is made if it does not exist.
    wait
        Whether to wait.

    Returns
    -------
    file
        Holds the lock as long as it is open.

    Raises
    ------
    BlockingIOError
        If another tuner works on it, and there is no waiting.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, lock_lineage(Path(folder)):
    ...     [path.name for path in Path(folder).iterdir()]
    ['tuner.lock']
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "tuner.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    file = os.fdopen(handle, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        raise BlockingIOError(f"another evolution is at work on {folder}") from None
    return file


def start_threads(look: Callable[[], float | None], first_wait: float) -> None:
    """Start the threads of a tuner.

    One ends this process when the manager is gone; the other looks again and again.

    Parameters
    ----------
    look
        Called from a thread; returns the seconds to wait until the next call, or None to stop.
    first_wait
        Seconds before the first call.
    """
    threading.Thread(target=die_with_manager, daemon=True).start()
    threading.Thread(target=_repeat, args=(look, first_wait), daemon=True).start()


def _repeat(look: Callable[[], float | None], first_wait: float) -> None:
    wait: float | None = first_wait
    while wait is not None:
        time.sleep(wait)
        wait = look()
