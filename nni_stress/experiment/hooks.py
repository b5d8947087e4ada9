"""Guards of NNI experiments whose tuner is ours: checked before they start, on 127.0.0.1 only, and of plain data only.

The guards go into NNI's modules when these are imported (see :mod:`nni_stress.nni_compat.patches`); other experiments are left as
they are. That nnictl imports this package at all is the work of a line in the environment's nni_stress_nnictl.pth.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from pathlib import Path

import wrapt

from ..nni_runtime.serializer import plain_messages


def guard_experiments(module) -> None:
    """In nni.experiment.experiment, where nnictl and Python scripts alike start the manager."""
    wrapt.wrap_function_wrapper(module, "Experiment.start", _start)


def guard_nnictl(module) -> None:
    """In nni.tools.nnictl.launcher: a fault is one line in the terminal, not a traceback."""
    wrapt.wrap_function_wrapper(module, "create_experiment", _create)
    wrapt.wrap_function_wrapper(module, "resume_experiment", _in_one_line)
    wrapt.wrap_function_wrapper(module, "view_experiment", _in_one_line)
    wrapt.wrap_function_wrapper(module, "get_stopped_experiment_config_json", _stored_config)


def guard_updates(module) -> None:
    """In nni.tools.nnictl.updater: a wrong search space does not reach the manager."""
    wrapt.wrap_function_wrapper(module, "update_experiment_profile", _update)


def guard_stored_configs(module) -> None:
    """In nni.tools.nnictl.config_utils: NNI would run code that the database of an experiment names."""
    wrapt.wrap_function_wrapper(module, "Config.refresh_config", _read_stored)


def guard_messages(module) -> None:
    """In nni.common.serializer, where a tuner of ours runs."""
    if os.environ.get("SDK_PROCESS") == "dispatcher":
        plain_messages(module)


def _start(start, experiment, args, kwargs):
    from ..nni_runtime import loopback
    from . import config_file, validation

    config = experiment.config
    if not config_file.is_ours(getattr(config, "tuner", None) or getattr(config, "advisor", None)):
        return start(*args, **kwargs)
    call = inspect.signature(start).bind(*args, **kwargs)
    call.apply_defaults()
    with loopback.on_loopback():
        if (
            experiment._action != "view"
        ):  # a search space that was wrong when it was updated must not bar the way back
            validation.check(config, with_space=experiment._action != "resume")
        loopback.check_port(call.arguments["port"])
        return start(*args, **kwargs)


def _create(create, _, args, kwargs):
    from . import config_file, validation

    file = Path(args[0].config)
    try:
        data = config_file.read_mapping(file)
        ours = config_file.is_ours(config_file.tuner_of(data))
    except Exception as error:
        sys.exit(f"error: {validation.in_one_line(error)}")
    if not ours:
        return create(*args, **kwargs)
    try:
        config_file.read(file)
        return create(*args, **kwargs)
    except Exception as error:
        sys.exit(f"error: {validation.in_one_line(error)}")


def _in_one_line(command, _, args, kwargs):
    from ..exceptions import LaunchError

    try:
        return command(*args, **kwargs)
    except LaunchError as error:
        sys.exit(f"error: {error}")


def _update(update, _, args, kwargs):
    import requests

    from ..evolution.search_space import check_search_space
    from ..utils.atomic_files import refuse_code
    from .config_file import is_ours, tuner_of
    from .validation import in_one_line

    options, key, value = args
    if key == "searchSpace":
        profile = requests.get(
            f"http://127.0.0.1:{options.port}/api/v1/nni/experiment", timeout=20
        ).json()
        if is_ours(tuner_of(profile["params"])):
            try:
                refuse_code(value)
                check_search_space(value)
            except Exception as error:
                sys.exit(f"error: {in_one_line(error)}")
    return update(*args, **kwargs)


def _stored_config(get, _, args, kwargs):
    from ..exceptions import LaunchError

    config = get(*args, **kwargs)
    if config is None:
        raise LaunchError(
            f"no stopped experiment {args[0]!r}; `nnictl experiment list --all` shows which there are"
        )
    return config


def _read_stored(refresh, stored, args, kwargs):
    from ..exceptions import LaunchError
    from ..utils.atomic_files import refuse_code
    from .config_file import is_ours, tuner_of

    query = "select params from ExperimentProfile where id = ? order by revision desc"
    row = stored.conn.execute(query, (stored.experiment_id,)).fetchone()
    config = json.loads(row[0]) if row else {}
    if is_ours(tuner_of(config)):
        try:
            refuse_code(config)
        except ValueError as error:
            raise LaunchError(f"the stored experiment {stored.experiment_id}: {error}") from None
    return refresh(*args, **kwargs)
