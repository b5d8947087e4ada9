"""Checks the command of a trial."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..exceptions import LaunchError
from .trial_script import check_files

# First words of a command for which the shell stays; "=" stands for variables without a program.
_SHELL_STAYS = ("=", "!", "time", "coproc", "eval", "source", ".")


def check_command(command: Any, folder: Path | None = None, local: bool = True) -> None:
    """Check that a trial's command is one simple command.

    NNI runs it in a shell and kills only the process of that shell. The shell replaces itself by a
    simple command, but stays the parent of any other.

    Parameters
    ----------
    command
        The ``trialCommand`` of the experiment.
    folder
        The trial's code folder, from which the command's program, script or module must be found.
        None: they are not looked for.
    local
        Whether the trial runs on this machine. If not, only files in the code folder can be known.

    Raises
    ------
    LaunchError
        If it is not a simple command, or its program, script or module does not exist.

    Examples
    --------
    >>> check_command("python3 -m trials.lenet5")
    >>> check_command("'trial.py")
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: trialCommand must close its quotes, but got "'trial.py"
    """
    if not isinstance(command, str) or not command.strip():
        raise LaunchError(
            f"trialCommand must be a command such as python3 -m trials.lenet5, but got {command!r}"
        )
    # What is quoted, escaped or substituted does not count as the shell's syntax.
    bare = re.sub(
        r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$\(|`", "\0", command.strip(), flags=re.DOTALL
    )
    if re.search("['\"]", bare):
        raise LaunchError(f"trialCommand must close its quotes, but got {command!r}")
    words = [word for word in bare.split() if not re.match(r"\w+=", word)] or ["="]
    program = words[0]
    if program == "exec":  # replaces the shell even if it redirects
        bare = re.sub(r"\d*(>&|&>|>|<)\d*", " ", bare)
    if re.search(r"[;&|<>\n]|^[({]", bare) or program in _SHELL_STAYS:
        raise LaunchError(
            "trialCommand must be one simple command, without ; & | < > or a second line, because "
            f"NNI kills only the shell of a trial, but got {command!r}"
        )
    if folder is not None:
        check_files(command, folder, local)
