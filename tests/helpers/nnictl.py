"""Runs the nnictl of this environment, as a user does."""

import os
import subprocess
import sys
from pathlib import Path

BINARIES = Path(sys.executable).parent


def environment(**changes):
    """Return the variables of a shell with the virtual environment active.

    `changes` are set on top; None removes a variable.
    """
    values = {**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", **changes}
    return {name: value for name, value in values.items() if value is not None}


def nnictl(*arguments, timeout=60, **changes):
    """Run nnictl, with `changes` of its variables, and return the finished process."""
    return subprocess.run(
        [str(BINARIES / "nnictl"), *map(str, arguments)],
        env=environment(**changes),
        timeout=timeout,
        capture_output=True,
        text=True,
    )
