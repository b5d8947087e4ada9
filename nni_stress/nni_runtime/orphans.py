"""Managers of NNI that outlive the process that follows their experiment."""

from __future__ import annotations

import os
from pathlib import Path

from .loopback import preloading

END_WITH_PARENT = Path(__file__).with_name("end_with_parent.js")
_PATIENCE = 60  # seconds that a manager may take to stop its trials and itself


def ending_with_this_process() -> dict[str, str]:
    """Environment variables with which a manager ends when this process has ended.

    nnictl starts a manager in the background, where it outlives a process that is killed.

    Examples
    --------
    >>> "end_with_parent.js" in ending_with_this_process()["NODE_OPTIONS"]
    True
    """
    status = Path("/proc/self/stat").read_text(encoding="latin-1")
    started = status.rpartition(")")[2].split()[19]
    options = [os.environ.get("NODE_OPTIONS", ""), preloading(END_WITH_PARENT)]
    return {
        "NODE_OPTIONS": " ".join(filter(None, options)),
        "NNI_STRESS_PARENT": f"{os.getpid()}:{started}",
    }


def stop_managers(folder: Path) -> int:
    """Stop the managers whose experiments lie in a folder, and wait until they have ended.

    Nobody else may follow these experiments.

    Parameters
    ----------
    folder
        The folder.

    Returns
    -------
    int
        How many there were.

    Examples
    --------
    >>> stop_managers(Path("/no/such/folder"))
    0
    """
    import psutil

    inside = f"{folder.resolve()}{os.sep}"
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--experiments-directory" in words and any(word.startswith(inside) for word in words):
            found.append(process)
    for process in found:
        process.terminate()
    _, alive = psutil.wait_procs(found, _PATIENCE)
    for process in alive:
        process.kill()
    return len(found)
