"""``python -m nni_stress register``: make this environment's nnictl know the tuner."""

from __future__ import annotations

import argparse

HELP = "make this environment's nnictl know StressTuner: name: Stress, checks, 127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser; there are none."""


def run(options: argparse.Namespace) -> list[str]:
    """Register the tuner, and return what was done, a line for each step.

    Raises
    ------
    OSError
        If the environment cannot be written to.
    """
    from ..experiment import registration

    return registration.register()
