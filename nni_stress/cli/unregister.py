"""``python -m nni_stress unregister``: undo ``register``."""

from __future__ import annotations

import argparse

HELP = "undo register"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser; there are none."""


def run(options: argparse.Namespace) -> list[str]:
    """Unregister the tuner, and return what was done, a line for each step.

    Raises
    ------
    OSError
        If the environment cannot be written to.
    """
    from ..experiment import registration

    return registration.unregister()
