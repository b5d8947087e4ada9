"""The config of an experiment whose tuner is ours, checked before anything is started, in one line for each fault.

NNI checks little of it (nothing of a tuner's arguments), and says what it finds in tracebacks.
"""

from __future__ import annotations

import json
import re
import shutil
import traceback
from pathlib import Path
from typing import Any

import yaml

from ..exceptions import LaunchError
from ..nni_runtime import loopback

_LEVELS = ("fatal", "error", "warning", "info", "debug", "trace")
CLASSES = ("nni_stress.StressTuner", "nni_stress.tuner.StressTuner")


def check(config, with_space: bool = True) -> dict:
    """Check NNI's config object of an experiment whose tuner is ours; returns it as NNI's manager wants it.

    The search space is left out where the tuner has one to fall back on.

    Raises
    ------
    LaunchError
        Naming the first fault: what was got, and what was expected.
    """
    from ..evolution.search_space import check_search_space
    from ..evolution.tuner_arguments import check_arguments
    from ..utils.atomic_files import refuse_code

    try:
        for part in (_check_tuner, _check_values, _check_trials, _check_space_file):
            part(config)
        content = config.json()  # NNI's own checks
        refuse_code(content)
        if with_space:
            check_search_space(content["searchSpace"])
        check_arguments(
            content["tuner"].get("classArgs") or {}, content["searchSpace"] if with_space else None
        )
    except LaunchError:
        raise
    except Exception as error:
        raise LaunchError(in_one_line(error)) from None
    return content


def _check_tuner(config) -> None:
    tuner = config.tuner or config.advisor
    if tuner.class_args is not None and not isinstance(tuner.class_args, dict):
        raise LaunchError(
            f"classArgs of the tuner must be a mapping, but got {short(tuner.class_args)}"
        )
    class_name = tuner.class_name or registered(tuner.name)
    if class_name is None:
        raise LaunchError(
            f"tuner {tuner.name!r} is not registered with NNI; `python -m nni_stress register` does it"
        )
    if not class_name.endswith(CLASSES):
        raise LaunchError(f"className of the tuner must be {CLASSES[0]}, but got {class_name!r}")
    if tuner.class_name is None:
        return
    if tuner.code_directory is None:
        tuner.code_directory = "."  # NNI insists on one, though an installed class needs none
    _check_folder("codeDirectory of the tuner", tuner.code_directory, config._base_path)


def _check_values(config) -> None:
    from nni.experiment.config.utils import parse_time

    concurrency, most = _given(config.trial_concurrency), config.max_trial_number
    if type(concurrency) is not int or concurrency < 1:
        raise LaunchError(
            f"trialConcurrency must be a whole number of at least 1, but got {concurrency!r}"
        )
    if most is not None and (type(most) is not int or most < 1):
        raise LaunchError(f"maxTrialNumber must be a whole number of at least 1, but got {most!r}")
    for name, value in (
        ("maxExperimentDuration", config.max_experiment_duration),
        ("maxTrialDuration", config.max_trial_duration),
    ):
        try:
            good = value is None or (type(value) in (int, str) and parse_time(value) > 0)
        except (ValueError, OverflowError):
            good = False
        if not good:
            raise LaunchError(
                f"{name} must be a time above 0 such as 30m, 2h or 7d, but got {value!r}"
            )
    if config.log_level not in (None, *_LEVELS):
        raise LaunchError(
            f"logLevel must be one of {', '.join(_LEVELS)}, but got {config.log_level!r}"
        )


def _check_trials(config) -> None:
    services = (
        config.training_service
        if isinstance(config.training_service, list)
        else [config.training_service]
    )
    for service in services:
        local = _given(getattr(service, "platform", None)) == "local"
        command = _given(getattr(service, "trial_command", None)) or config.trial_command
        folder = (
            _given(getattr(service, "trial_code_directory", None)) or config.trial_code_directory
        )
        folder = _check_folder("trialCodeDirectory", folder, config._base_path)
        check_command(command, folder if local else None)
        address = _given(getattr(service, "nni_manager_ip", None)) or config.nni_manager_ip
        if not local and not loopback.everywhere() and address != "127.0.0.1":
            raise LaunchError(
                "nniManagerIp must be 127.0.0.1, the workers' end of an SSH tunnel to the manager (or set "
                f"{loopback.VARIABLE}=everywhere), but got {address!r}"
            )
        shared = (
            (tuner.class_args or {}).get("folder")
            if (tuner := config.tuner or config.advisor)
            else None
        )
        if not local and not (isinstance(shared, str) and Path(shared).is_absolute()):
            raise LaunchError(
                f"folder must be an absolute path on storage that all workers share, but got {shared!r}"
            )


def check_command(command: Any, folder: Path | None = None) -> None:
    """Refuse what is not one simple command: its shell would stay, and NNI kills nothing but that.

    Where `folder` is given, the command's program must be found from there.
    """
    if not isinstance(command, str) or not command.strip():
        raise LaunchError(
            f"trialCommand must be a command such as python3 -m trials.lenet5, but got {command!r}"
        )
    bare = re.sub(
        r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$\(|`", "\0", command.strip(), flags=re.DOTALL
    )
    if re.search("['\"]", bare):
        raise LaunchError(f"trialCommand must close its quotes, but got {command!r}")
    words = [word for word in bare.split() if not re.match(r"\w+=", word)] or ["="]
    if words[0] == "exec":  # replaces the shell, wherever its output goes
        bare = re.sub(r"\d*(>&|&>|>|<)\d*", " ", bare)
    if re.search(r"[;&|<>\n]|^[({]", bare) or words[0] in (
        "=",
        "!",
        "time",
        "coproc",
        "eval",
        "source",
        ".",
    ):
        raise LaunchError(
            "trialCommand must be one simple command, without ; & | < > or a second line, because NNI kills "
            f"only the shell of a trial, but got {command!r}"
        )
    if folder is not None and re.fullmatch(r"[\w./+-]+", words[0]) and words[0] != "exec":
        if not shutil.which(str(folder / words[0]) if "/" in words[0] else words[0]):
            raise LaunchError(
                f"trialCommand must begin with a program that exists, but got {words[0]!r}"
            )


def _check_space_file(config) -> None:
    if config.search_space_file is None:
        if config.search_space is None:
            raise LaunchError("searchSpaceFile or searchSpace must be given, but got neither")
        return
    file = _path(config.search_space_file, config._base_path)
    if not file.is_file():
        raise LaunchError(f"no search space file at {file}")
    try:
        text = file.read_text(encoding="utf-8")
        try:
            json.loads(text)
        except ValueError:  # NNI, too, tries JSON first: not all of it is YAML to PyYAML
            yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LaunchError(f"search space file {file} is not YAML: {in_one_line(error)}") from None


def _check_folder(name: str, folder: Any, base: Path) -> Path:
    if not isinstance(folder, (str, Path)) or not _path(folder, base).is_dir():
        shown = _path(folder, base) if isinstance(folder, (str, Path)) else folder
        raise LaunchError(f"{name} must be a folder that exists, but got {str(shown)!r}")
    return _path(folder, base)


def _path(path: str | Path, base: Path) -> Path:
    return Path(base, Path(path).expanduser()).absolute()


def _given(value: Any) -> Any:
    """A field's value, or None where NNI marks it as not given."""
    from nni.experiment.config.utils import is_missing

    return None if is_missing(value) else value


def registered(name: Any) -> str | None:
    """The class that is registered with NNI under this name, or None."""
    from nni.tools.package_utils import get_algo_meta

    meta = get_algo_meta(name) if isinstance(name, str) else None
    return meta and meta.class_name


def short(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_one_line(error: Exception) -> str:
    """What an error says, NNI's bare assertions included, in one line."""
    text = " ".join(str(error).split())
    if not text and isinstance(error, AssertionError):
        text = f"NNI expects {traceback.extract_tb(error.__traceback__)[-1].line.removeprefix('assert ')}"
    return text or type(error).__name__
