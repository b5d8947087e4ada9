"""Reads an experiment file and checks it before anything starts.

NNI itself checks little of it, and reports faults as tracebacks. Here, every fault is one line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..exceptions import DamagedFileError, LaunchError
from ..utils.messages import one_line, short
from ..utils.yaml_files import read_yaml
from .validation import check, registered


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the content of an experiment file: a mapping that names a tuner.

    Raises
    ------
    LaunchError
        If there is no such file, or it is not such a mapping.

    Examples
    --------
    >>> read_mapping(Path("nowhere.yml"))
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: no experiment file at nowhere.yml
    """
    if not file.is_file():
        raise LaunchError(f"no experiment file at {file}")
    try:
        data = read_yaml(file)
    except (OSError, DamagedFileError) as error:
        raise LaunchError(one_line(error)) from None
    if not isinstance(data, dict):
        raise LaunchError(
            f"{file} must hold the fields of an experiment (trialCommand, tuner, ...), "
            f"but got {short(data)}"
        )
    not_text = [key for key in data if not isinstance(key, str)]
    if not_text:
        raise LaunchError(f"{file} must name its fields by text, but got {not_text[0]!r}")
    fields = _folded(data)
    is_hpo = fields.get("experimenttype", "hpo") == "hpo"
    if is_hpo and "trainingserviceplatform" not in fields and not _names_tuner(tuner_of(data)):
        raise LaunchError(
            f"{file.name}: tuner must be a mapping with className: nni_stress.StressTuner "
            f"(or name: Stress), but got {short(tuner_of(data))}"
        )
    return data


def _names_tuner(tuner: Any) -> bool:
    fields = _folded(tuner) if isinstance(tuner, Mapping) else {}
    return any(isinstance(fields.get(name), str) for name in ("name", "classname"))


def tuner_of(data: Mapping[str, Any]) -> Any:
    """Return the section of an experiment file that names its tuner, or None.

    "advisor" is NNI's old name for it.

    Examples
    --------
    >>> tuner_of({"advisor": {"name": "BOHB"}})
    {'name': 'BOHB'}
    """
    fields = _folded(data)
    return fields.get("tuner", fields.get("advisor"))


def is_ours(tuner: Any) -> bool:
    """Tell whether an experiment's tuner is meant to be this package's.

    Parameters
    ----------
    tuner
        The tuner's section of an experiment file, or NNI's object for it.

    Examples
    --------
    >>> is_ours({"className": "nni_stress.StressTuner"})
    True
    >>> is_ours({"class_name": "my_tuner.MyTuner"})
    False
    """
    fields = _folded(tuner if isinstance(tuner, Mapping) else getattr(tuner, "__dict__", {}))
    name = fields.get("name")
    class_name = fields.get("classname")
    if isinstance(name, str) and name.lower() != "_none_":
        class_name = registered(name)
        if name.lower() == "stress" and class_name is None:
            return True
    if not isinstance(class_name, str) or class_name.startswith("nni_stress.reports."):
        return False  # the tuner of contests has arguments and a search space of its own
    return "nni_stress" in class_name.split(".")


def read(file: Path) -> dict[str, Any]:
    """Read and check the file of an experiment with this package's tuner.

    Returns
    -------
    dict
        The configuration in the form that NNI's manager expects: with absolute paths, and with the
        search space in it.

    Raises
    ------
    LaunchError
        For the first fault: one line that names what was got and what was expected.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "stress.yml"
    >>> _ = file.write_text("{trainingService: {platform: local}, tuner: {className: my.Tuner}}")
    >>> read(file)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.LaunchError: stress.yml: className of the tuner must be ...
    """
    data = read_mapping(file)
    try:
        _check_fields(data)
        content = check(_parse(data, file.parent.absolute()))
    except LaunchError as error:
        raise LaunchError(f"{file.name}: {error}") from None
    except Exception as error:
        raise LaunchError(f"{file.name}: {one_line(error)}") from None
    content.pop("searchSpaceFile", None)  # its content is in searchSpace
    return content


def _parse(data: dict[str, Any], base: Path) -> Any:
    """Return NNI's configuration object; relative paths start from the folder `base`."""
    from nni.experiment.config import ExperimentConfig
    from nni.experiment.config.utils import set_base_path, unset_base_path

    set_base_path(base)
    try:
        return ExperimentConfig(**data)
    finally:
        unset_base_path()


def _check_fields(data: dict[str, Any]) -> None:
    """Check that the file has only fields that NNI knows, and only plain data."""
    from nni.experiment.config import AlgorithmConfig, ExperimentConfig

    from ..utils.atomic_files import refuse_code

    refuse_code(data)
    fields = _folded(data)
    if "trainingserviceplatform" in fields:
        raise LaunchError(
            "trainingServicePlatform belongs to NNI's old format; "
            "expected trainingService: {platform: local}"
        )
    _check_known(data, ExperimentConfig, "field")
    _check_known(tuner_of(data), AlgorithmConfig.__base__, "field of tuner")
    services = fields.get("trainingservice")
    for service in services if isinstance(services, list) and services else [services]:
        _check_service(service)


def _check_service(service: Any) -> None:
    if not isinstance(service, Mapping) or not isinstance(service.get("platform"), str):
        raise LaunchError(
            "trainingService must be a mapping such as {platform: local}, "
            f"but got {short(service)}"
        )
    _check_known(service, _service_class(service["platform"]), "field of trainingService")


def _service_class(platform: str) -> type:
    """Return NNI's configuration class of a training service."""
    from nni.experiment.config.training_service import TrainingServiceConfig
    from nni.experiment.config.utils import training_service_config_factory

    try:
        return type(training_service_config_factory(platform))
    except ValueError:
        known = sorted(str(kind.platform) for kind in TrainingServiceConfig.__subclasses__())
        if platform in known:  # NNI's own list of services is damaged
            raise
        raise LaunchError(
            f"platform must be one of {', '.join(known)}, but got {platform!r}"
        ) from None


def _check_known(data: Mapping[str, Any], config_class: Any, what: str) -> None:
    """Check that a section has only fields of NNI's configuration class, and texts as paths."""
    from nni.experiment.config.utils import camel_case

    known = [camel_case(field.name) for field in dataclasses.fields(config_class)]
    folded = _folded(dict.fromkeys(known)).keys()
    unknown = [key for key in data if not _folded({key: None}).keys() & folded]
    if unknown:
        raise LaunchError(f"unknown {what} {unknown[0]!r}; known are {', '.join(known)}")
    values = _folded(data)
    for name, field in zip(known, dataclasses.fields(config_class)):
        value = values.get(name.lower())
        if "Path" in str(field.type) and not isinstance(value, (str, Path, type(None))):
            raise LaunchError(f"{name} must be a path, but got {short(value)}")


def _folded(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """Return fields by name in lower case without "_".

    NNI accepts trialCommand, trial_command and TRIALCOMMAND as the same field.
    """
    return {str(key).lower().replace("_", ""): value for key, value in fields.items()}
