"""An experiment file, read and checked before anything is started, in one line for each fault.

NNI checks little of it, and says what it finds in tracebacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..exceptions import LaunchError
from .validation import check, in_one_line, registered, short


def read_mapping(file: Path) -> dict:
    """The content of an experiment file, which must be a mapping that says which tuner it wants."""
    if not file.is_file():
        raise LaunchError(f"no experiment file at {file}")
    data = _read_yaml(file)
    if not isinstance(data, dict):
        raise LaunchError(
            f"{file} must hold the fields of an experiment (trialCommand, tuner, ...), but got {short(data)}"
        )
    wrong = [key for key in data if not isinstance(key, str)]
    if wrong:
        raise LaunchError(f"{file} must name its fields by text, but got {wrong[0]!r}")
    fields, tuner = _folded(data), tuner_of(data)
    if fields.get("experimenttype", "hpo") == "hpo" and "trainingserviceplatform" not in fields:
        names = (
            [_folded(tuner).get(name) for name in ("name", "classname")]
            if isinstance(tuner, Mapping)
            else []
        )
        if not any(isinstance(name, str) for name in names):
            raise LaunchError(
                f"{file.name}: tuner must be a mapping with className: nni_stress.StressTuner "
                f"(or name: Stress), but got {short(tuner)}"
            )
    return data


def tuner_of(data: Mapping) -> Any:
    """The section of an experiment file that names its tuner; "advisor" is NNI's old word for it."""
    fields = _folded(data)
    return fields.get("tuner", fields.get("advisor"))


def is_ours(tuner: Any) -> bool:
    """Whether a config's tuner, as a mapping or as NNI's object, is meant to be ours."""
    fields = _folded(tuner if isinstance(tuner, Mapping) else getattr(tuner, "__dict__", {}))
    name, class_name = fields.get("name"), fields.get("classname")
    if isinstance(name, str) and name.lower() != "_none_":
        class_name = registered(name)
        if name.lower() == "stress" and class_name is None:
            return True
    return isinstance(class_name, str) and "nni_stress" in class_name.split(".")


def read(file: Path) -> dict:
    """Read and check the file of an experiment whose tuner is ours; returns it as NNI's manager wants it.

    Raises
    ------
    LaunchError
        Naming the first fault: what was got, and what was expected.
    """
    from nni.experiment.config import ExperimentConfig
    from nni.experiment.config.utils import set_base_path, unset_base_path

    data = read_mapping(file)
    try:
        _check_fields(data)
        set_base_path(file.parent.absolute())
        try:
            config = ExperimentConfig(**data)
        finally:
            unset_base_path()
        content = check(config)
        content.pop("searchSpaceFile", None)  # its content is in searchSpace
        return content
    except LaunchError as error:
        raise LaunchError(f"{file.name}: {error}") from None
    except Exception as error:
        raise LaunchError(f"{file.name}: {in_one_line(error)}") from None


def _check_fields(data: dict) -> None:
    from nni.experiment.config import AlgorithmConfig, ExperimentConfig
    from nni.experiment.config.utils import training_service_config_factory

    from ..utils.atomic_files import refuse_code

    refuse_code(data)
    fields = _folded(data)
    if "trainingserviceplatform" in fields:
        raise LaunchError(
            "trainingServicePlatform belongs to NNI's old format; expected trainingService: {platform: local}"
        )
    _known_only(data, ExperimentConfig, "field")
    _known_only(tuner_of(data), AlgorithmConfig.__base__, "field of tuner")
    service = fields.get("trainingservice")
    for each in service if isinstance(service, list) else [service]:
        if not isinstance(each, Mapping) or not isinstance(each.get("platform"), str):
            raise LaunchError(
                f"trainingService must be a mapping such as {{platform: local}}, but got {short(each)}"
            )
        try:
            kind = type(training_service_config_factory(each["platform"]))
        except ValueError:
            from nni.experiment.config.training_service import TrainingServiceConfig

            known = sorted(str(kind.platform) for kind in TrainingServiceConfig.__subclasses__())
            if each["platform"] in known:  # NNI's own list of services is damaged
                raise
            raise LaunchError(
                f"platform must be one of {', '.join(known)}, but got {each['platform']!r}"
            ) from None
        _known_only(each, kind, "field of trainingService")


def _known_only(data: Mapping, kind: type, what: str) -> None:
    from nni.experiment.config.utils import camel_case

    known = [camel_case(field.name) for field in dataclasses.fields(kind)]
    unknown = [
        key
        for key in data
        if not _folded({key: None}).keys() & _folded(dict.fromkeys(known)).keys()
    ]
    if unknown:
        raise LaunchError(f"unknown {what} {unknown[0]!r}; known are {', '.join(known)}")


def _folded(fields: Mapping) -> dict:
    """NNI takes trialCommand, trial_command and TRIALCOMMAND for the same."""
    return {str(key).lower().replace("_", ""): value for key, value in fields.items()}


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LaunchError(f"{file} is not YAML: {in_one_line(error)}") from None
