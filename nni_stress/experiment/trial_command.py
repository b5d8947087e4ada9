"""Checks the command of a trial."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ..exceptions import LaunchError

# First words of a command for which the shell stays; "=" stands for variables without a program.
_SHELL_STAYS = ("=", "!", "time", "coproc", "eval", "source", ".")


def check_command(command: Any, folder: Path | None = None) -> None:
    """Check that a trial's command is one simple command.

    NNI runs it in a shell and kills only the process of that shell. The shell replaces itself by a
    simple command, but stays the parent of any other.

    Parameters
    ----------
    command
        The ``trialCommand`` of the experiment.
    folder
        Folder in which the trial starts; the command's program must be found from there. None: the
        trial runs on another machine, and the program is not looked for.

    Raises
    ------
    LaunchError
        If it is not a simple command, or its program does not exist.

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
    if folder is not None and re.fullmatch(r"[\w./+-]+", program) and program != "exec":
        _check_program(program, folder)


def _check_program(program: str, folder: Path) -> None:
    if not shutil.which(str(folder / program) if "/" in program else program):
        raise LaunchError(
            f"trialCommand must begin with a program that exists, but got {program!r}"
        )
