"""``python -m nni_stress inspect``: what of a network can be removed, and what stays and why."""

from __future__ import annotations

import argparse

from ..hparams import ATTENTION

HELP = "show what of a task's network can be removed, layer by layer, and what stays and why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand's arguments to its parser."""
    parser.add_argument(
        "task",
        help="FILE.py:FUNCTION or MODULE:FUNCTION that makes the task, as trial.py:make_task",
    )
    parser.add_argument(
        "--attention",
        choices=ATTENTION,
        default="heads",
        help="what attentions lose: whole heads (the default), or width in all their heads",
    )


def run(options: argparse.Namespace) -> list[str]:
    """Inspect a task's network; returns the lines of a table.

    Raises
    ------
    ValueError
        If the task cannot be made, or its network does not run.
    """
    from ..nni_compat.frameworks import import_compression
    from ..trial.task import load_task
    from ..utils.messages import one_line

    task = load_task(options.task)
    import_compression()
    from ..pruning.inspection import inspect

    try:
        found = inspect(task.network(), task.example_input, [task.clusters], options.attention)
    except Exception as error:  # the user's own code may raise anything
        raise ValueError(one_line(error)) from error
    return str(found).splitlines()
