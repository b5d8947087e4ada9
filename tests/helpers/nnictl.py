"""The environment's own nnictl, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

BINARIES = Path(sys.executable).parent


def environment(**changes):
    """The environment of a shell in which the virtual environment is active; None takes a variable away."""
    values = {**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}", **changes}
    return {name: value for name, value in values.items() if value is not None}


def nnictl(*arguments, timeout=60, **changes):
    return subprocess.run(
        [str(BINARIES / "nnictl"), *map(str, arguments)],
        env=environment(**changes),
        timeout=timeout,
        capture_output=True,
        text=True,
    )
