"""Checks the configuration of an experiment with this package's tuner before anything starts.

NNI itself checks little (and none of a tuner's arguments), and reports faults as tracebacks. Here,
every fault is one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..exceptions import DamagedFileError, LaunchError
from ..nni_runtime import loopback
from ..utils.atomic_files import read_json
from ..utils.messages import one_line, short
from ..utils.yaml_files import read_yaml
from .trial_command import check_command

if TYPE_CHECKING:
    from nni.experiment.config import ExperimentConfig

CLASSES = ("nni_stress.StressTuner", "nni_stress.tuner.StressTuner")
_LOG_LEVELS = ("fatal", "error", "warning", "info", "debug", "trace")


def check(config: ExperimentConfig, with_space: bool = True) -> dict[str, Any]:
    """Check an experiment's configuration, and return it in the form that NNI's manager expects.

    Parameters
    ----------
    config
        NNI's configuration of an experiment whose tuner is StressTuner.
    with_space
        Whether to check the search space. A tuner that resumes does not need it, as it can fall
        back on the last one that was right.

    Raises
    ------
    LaunchError
        For the first fault: one line that names what was got and what was expected.

    Examples
    --------
    >>> from nni.experiment.config import AlgorithmConfig, ExperimentConfig
    >>> config = ExperimentConfig("local")
    >>> config.tuner = AlgorithmConfig(class_name="my_tuner.MyTuner")
    >>> check(config)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.LaunchError: className of the tuner must be nni_stress.StressTuner, ...
    """
    from ..evolution.search_space import check_search_space
    from ..evolution.tuner_arguments import check_arguments
    from ..utils.atomic_files import refuse_code

    try:
        _check_tuner(config)
        _check_values(config)
        _check_training_services(config)
        _check_search_space_file(config)
        content: dict[str, Any] = config.json()  # runs NNI's own checks
        refuse_code(content)
        if with_space:
            check_search_space(content.get("searchSpace"))
        check_arguments(
            content["tuner"].get("classArgs") or {},
            content.get("searchSpace") if with_space else None,
        )
    except LaunchError:
        raise
    except Exception as error:
        raise LaunchError(one_line(error)) from None
    return content


def _check_tuner(config: ExperimentConfig) -> None:
    tuner = _tuner_of(config)
    if tuner.class_args is not None and not isinstance(tuner.class_args, dict):
        raise LaunchError(
            f"classArgs of the tuner must be a mapping, but got {short(tuner.class_args)}"
        )
    class_name = tuner.class_name or registered(tuner.name)
    if class_name is None:
        raise LaunchError(
            f"tuner {tuner.name!r} is not registered with NNI; "
            "`python -m nni_stress register` does it"
        )
    if not class_name.endswith(CLASSES):
        raise LaunchError(f"className of the tuner must be {CLASSES[0]}, but got {class_name!r}")
    if tuner.class_name is None:
        return
    if tuner.code_directory is None:
        tuner.code_directory = "."  # NNI requires one, though an installed class needs none
    _check_folder("codeDirectory of the tuner", tuner.code_directory, _base_path(config))


def _check_values(config: ExperimentConfig) -> None:
    concurrency = _given(config.trial_concurrency)
    if not _is_positive_integer(concurrency):
        raise LaunchError(
            f"trialConcurrency must be a whole number of at least 1, but got {concurrency!r}"
        )
    number = config.max_trial_number
    if number is not None and not _is_positive_integer(number):
        raise LaunchError(
            f"maxTrialNumber must be a whole number of at least 1, but got {number!r}"
        )
    _check_duration("maxExperimentDuration", config.max_experiment_duration)
    _check_duration("maxTrialDuration", config.max_trial_duration)
    if config.log_level not in (None, *_LOG_LEVELS):
        raise LaunchError(
            f"logLevel must be one of {', '.join(_LOG_LEVELS)}, but got {config.log_level!r}"
        )


def _is_positive_integer(value: Any) -> bool:
    return type(value) is int and value >= 1


def _check_duration(name: str, value: Any) -> None:
    from nni.experiment.config.utils import parse_time

    try:
        valid = value is None or (type(value) in (int, str) and parse_time(value) > 0)
    except (ValueError, OverflowError):
        valid = False
    if not valid:
        raise LaunchError(f"{name} must be a time above 0 such as 30m, 2h or 7d, but got {value!r}")


class Trial(NamedTuple):
    """How a training service runs trials.

    Examples
    --------
    >>> Trial(None, "python3 trial.py", Path("."), local=True).command
    'python3 trial.py'
    """

    service: Any
    command: Any
    folder: Path
    local: bool


def trials_of(config: ExperimentConfig) -> Iterator[Trial]:
    """How each training service of an experiment runs trials.

    Raises
    ------
    LaunchError
        If the folder of the code does not exist.
    """
    services = config.training_service
    for service in services if isinstance(services, list) else [services]:
        folder = _check_folder(
            "trialCodeDirectory",
            _given(getattr(service, "trial_code_directory", None)) or config.trial_code_directory,
            _base_path(config),
        )
        command = _given(getattr(service, "trial_command", None)) or config.trial_command
        local = _given(getattr(service, "platform", None)) == "local"
        yield Trial(service, command, folder, local)


def _check_training_services(config: ExperimentConfig) -> None:
    for trial in trials_of(config):
        check_command(trial.command, trial.folder, trial.local)
        if not trial.local:
            _check_reachable(config, trial.service)


def _check_reachable(config: ExperimentConfig, service: Any) -> None:
    """Check that workers on other machines reach the manager through a tunnel, and the lineage."""
    address = _given(getattr(service, "nni_manager_ip", None)) or config.nni_manager_ip
    if not loopback.everywhere() and address != "127.0.0.1":
        raise LaunchError(
            "nniManagerIp must be 127.0.0.1, the workers' end of an SSH tunnel to the manager "
            f"(or set {loopback.VARIABLE}=everywhere), but got {address!r}"
        )
    tuner = _tuner_of(config)
    folder = (tuner.class_args or {}).get("folder") if tuner else None
    if not isinstance(folder, str) or not Path(folder).is_absolute():
        raise LaunchError(
            f"folder must be an absolute path on storage that all workers share, but got {folder!r}"
        )


def _check_search_space_file(config: ExperimentConfig) -> None:
    if config.search_space_file is None:
        if config.search_space is None:
            raise LaunchError("searchSpaceFile or searchSpace must be given, but got neither")
        return
    file = _absolute(config.search_space_file, _base_path(config))
    if not file.is_file():
        raise LaunchError(f"no search space file at {file}")
    try:
        try:
            read_json(file)  # like NNI, because PyYAML does not read all of JSON
        except DamagedFileError:
            read_yaml(file)
    except (OSError, DamagedFileError) as error:
        raise LaunchError(f"search space file {one_line(error)}") from None


def _check_folder(name: str, folder: Any, base: Path) -> Path:
    shown = _absolute(folder, base) if isinstance(folder, (str, Path)) else folder
    if not isinstance(shown, Path) or not shown.is_dir():
        raise LaunchError(f"{name} must be a folder that exists, but got {str(shown)!r}")
    return shown


def _absolute(path: str | Path, base: Path) -> Path:
    return Path(base, Path(path).expanduser()).absolute()


def _base_path(config: ExperimentConfig) -> Path:
    """Return the folder from which a configuration's relative paths start."""
    base: Path = config._base_path  # noqa: SLF001, NNI has no public name for it
    return base


def _tuner_of(config: ExperimentConfig) -> Any:
    """Return the tuner's section; "advisor" is NNI's old name for it."""
    return config.tuner or config.advisor


def _given(value: Any) -> Any:
    """Return a field's value; None if NNI marks it as missing."""
    from nni.experiment.config.utils import is_missing

    return None if is_missing(value) else value


def registered(name: Any) -> str | None:
    """Return the class that is registered with NNI under a tuner's name, or None.

    Examples
    --------
    >>> registered("TPE")
    'nni.algorithms.hpo.tpe_tuner.TpeTuner'
    >>> registered("no such tuner") is None
    True
    """
    from nni.tools.package_utils import get_algo_meta

    meta = get_algo_meta(name) if isinstance(name, str) else None
    return None if meta is None else meta.class_name
