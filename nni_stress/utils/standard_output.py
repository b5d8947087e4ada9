"""Standard output of this process."""

from __future__ import annotations

import os
import sys


def forget_reader() -> None:
    """Write to nowhere from now on, as the reader (such as `head`) has closed its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
