"""What an experiment was when it was created, kept outside of NNI's database.

NNI's manager writes whatever profile it is sent into its database, and starts from there what
`nnictl resume` starts. So the configuration of an experiment with this package's tuner also stands
in a file of its own, which no request to the manager reaches, and both are compared before an
experiment is resumed or viewed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..exceptions import LaunchError
from ..utils.atomic_files import read_json, write_json
from ..utils.messages import short

FILE = "nni-stress.json"  # in NNI's folder of the experiment
# What `nnictl update` changes in a running experiment; none of it names code or files.
_CHANGEABLE = ("searchSpace", "trialConcurrency", "maxTrialNumber", "maxExperimentDuration")


def remember(folder: Path, config: Mapping[str, Any]) -> None:
    """Keep the configuration of an experiment for the user alone.

    Parameters
    ----------
    folder
        NNI's folder of the experiment; made, for the user alone, if it does not exist.
    config
        The configuration in the form that NNI's manager expects.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp()) / "ab12cd34"
    >>> remember(folder, {"trialCommand": "python3 trial.py"})
    >>> is_remembered(folder), oct(folder.stat().st_mode & 0o777)
    (True, '0o700')
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    write_json(folder / FILE, dict(config))
    os.chmod(folder / FILE, 0o600)


def is_remembered(folder: Path) -> bool:
    """Tell whether the experiment in a folder was created with this package's tuner."""
    return (folder / FILE).exists()


def compare(folder: Path, stored: Mapping[str, Any]) -> None:
    """Check that an experiment is stored in NNI's database as it was created.

    Parameters
    ----------
    folder
        NNI's folder of the experiment, in which its configuration was kept.
    stored
        The configuration in NNI's database.

    Raises
    ------
    LaunchError
        If they differ in more than what `nnictl update` changes, or the file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> remember(folder, {"trialCommand": "python3 trial.py", "maxTrialNumber": 5})
    >>> compare(folder, {"trialCommand": "python3 trial.py", "maxTrialNumber": 9})
    >>> compare(folder, {"trialCommand": "rm -r ~"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    nni_stress.exceptions.LaunchError: trialCommand must be 'python3 trial.py' as when ...
    """
    try:
        created = read_json(folder / FILE)
    except (OSError, ValueError) as error:
        raise LaunchError(f"{folder / FILE} cannot be read: {error}") from None
    if not isinstance(created, dict):
        raise LaunchError(f"{folder / FILE} must hold a mapping, but got {short(created)}")
    plain = json.loads(json.dumps(stored))
    for key, was, found in _differences(_fixed(created), _fixed(plain)):
        raise LaunchError(
            f"{key} must be {short(was)} as when the experiment was created "
            f"({folder / FILE}), but NNI's database has {short(found)}"
        )


def _fixed(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _CHANGEABLE}


def _differences(was: Any, found: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the name of each entry that differs, with both values; None stands for no entry."""
    if isinstance(was, dict) and isinstance(found, dict):
        for key in {**was, **found}:
            path = f"{name}.{key}" if name else str(key)
            yield from _differences(was.get(key), found.get(key), path)
    elif was != found or type(was) is not type(found):
        yield name or "the configuration", was, found
