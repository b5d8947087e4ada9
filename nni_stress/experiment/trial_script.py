"""Finds out whether the program, and the script or module, exist that a trial's command names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from ..exceptions import LaunchError

_PYTHON = re.compile(r"python[\d.]*")
_SHELLS = ("sh", "bash", "dash", "zsh")
_UNCERTAIN = re.compile(r"[$`*?\[{~]")  # what the shell replaces
_SECONDS = 30.0  # for Python to look for a module; after that it counts as found

# Exits with 3 if the module cannot be found; any other trouble shows when the trial runs.
_FIND = """
import importlib.util, sys
name = sys.argv[1]
try:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(name + ".__main__")
except ModuleNotFoundError as error:
    missing = error.name or ""
    spec = None if (name + ".").startswith(missing + ".") else error
sys.exit(3 if spec is None else 0)
"""


def check_files(command: str, folder: Path, local: bool = True) -> None:
    """Check that the program exists, and the script or module that Python or a shell is to run.

    Parameters
    ----------
    command
        A trial's command, one simple command.
    folder
        The trial's code folder, in which it starts.
    local
        Whether the trial runs on this machine. If not, only what is copied there can be known: a
        script's relative path, and modules of packages in the folder.

    Raises
    ------
    LaunchError
        If there is no such program, file or module. What the shell would replace is not looked for.

    Examples
    --------
    >>> check_files("python3 -m json.tool", Path("."))
    >>> check_files("python3 -u trail.py --fast", Path("/"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: ...
    """
    run = _parse(command)
    if run is None:
        return
    if local and not _path_of(run.program, folder):
        raise LaunchError(
            f"trialCommand must begin with a program that exists, but got {run.program!r}"
        )
    if run.script is not None:
        _check_file(run.script, folder, local)
    if run.module is not None:
        _check_module(run.program, run.module, folder, local)


def script_of(command: str, folder: Path) -> Path | None:
    """The file of Python's code that a trial's command runs.

    Parameters
    ----------
    command
        A trial's command, one simple command.
    folder
        The trial's code folder, in which it starts.

    Returns
    -------
    Path or None
        None if Python does not run a script, or a module in the folder.

    Examples
    --------
    >>> script_of("python3 -u setup.py", Path(".")), script_of("sh setup.sh", Path("."))
    (PosixPath('setup.py'), None)
    """
    run = _parse(command)
    if run is None or not _PYTHON.fullmatch(Path(run.program).name):
        return None
    if run.module is not None:
        path = folder.joinpath(*run.module.split("."))
        candidates = [path.with_suffix(".py"), path / "__main__.py"]
    else:
        candidates = [folder / run.script] if run.script is not None else []
    return next((file for file in candidates if file.is_file()), None)


class _Run(NamedTuple):
    """What a command runs: a program, and a script or module that can be looked for."""

    program: str
    script: str | None = None
    module: str | None = None


def _parse(command: str) -> _Run | None:
    """What a command runs; None where the shell would replace the program's name."""
    words = _words(command)
    variables = []
    while words and (words[0] in ("exec", "env") or re.match(r"\w+=", words[0])):
        variables.append(words.pop(0))
    if not words or not re.fullmatch(r"[\w ./+-]+", words[0]) or words[0].startswith("-"):
        return None
    program, *arguments = words
    name = Path(program).name
    script: str | None = None
    module: str | None = None
    if _PYTHON.fullmatch(name):
        script, module = _run_by_python(arguments)
    elif name in _SHELLS:
        script = _first_operand(arguments)
    if script is not None and _UNCERTAIN.search(script):
        script = None
    elsewhere = any(variable.startswith(("PYTHON", "PATH=")) for variable in variables)
    if module is not None and (elsewhere or not re.fullmatch(r"\w+(\.\w+)*", module)):
        module = None
    return _Run(program, script, module)


def _path_of(program: str, folder: Path) -> str | None:
    return shutil.which(str(folder / program) if "/" in program else program)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # the shell may read it all the same
        return []


def _run_by_python(arguments: list[str]) -> tuple[str | None, str | None]:
    """The script that Python is to run, or the module; neither for code and standard input."""
    while arguments:
        word = arguments[0]
        if word == "-" or not word.startswith("-"):
            return (None if word == "-" else word), None
        if word.startswith("--"):
            if word in ("--help", "--version"):
                return None, None
            arguments = arguments[2 if word == "--check-hash-based-pycs" else 1 :]
            continue
        taken = re.match(r"-[^cmWX]*([cmWX])?(.*)", word, re.DOTALL)
        assert taken is not None  # it begins with "-"
        option, value = taken.groups()
        if option == "c":
            return None, None
        if option == "m":
            return None, value or next(iter(arguments[1:]), None)
        arguments = arguments[2 if option is not None and not value else 1 :]
    return None, None


def _first_operand(arguments: list[str]) -> str | None:
    """The script that a shell is to run; None if it takes its commands from elsewhere."""
    if any(word.startswith("-") for word in arguments[:1]):
        return None
    return next(iter(arguments), None)


def _check_file(script: str, folder: Path, local: bool) -> None:
    path = folder / script
    if not local and (Path(script).is_absolute() or ".." in Path(script).parts):
        return
    if not path.exists():
        raise LaunchError(
            f"trialCommand must run a script that exists, but got {script!r} (no file at {path})"
        )


def _check_module(program: str, module: str, folder: Path, local: bool) -> None:
    if _is_in(folder, module):
        return
    first = module.partition(".")[0]
    if local:
        found = _python_finds(program, module, folder)
    else:
        # A module or package in the folder hides all others of its name.
        own = (folder / f"{first}.py", folder / first / "__init__.py")
        found = not any(file.is_file() for file in own)
    if not found:
        raise LaunchError(
            f"trialCommand must run a module that exists, but got {module!r}, which Python does "
            f"not find from {folder}"
        )


def _is_in(folder: Path, module: str) -> bool:
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def _python_finds(program: str, module: str, folder: Path) -> bool:
    """Let the trial's own Python look, as it may have other packages than this one."""
    path = _path_of(program, folder)
    if path is None:
        return True
    try:
        done = subprocess.run(
            [path, "-c", _FIND, module],
            cwd=folder,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != 3
