"""Hooks in NNI: experiments with this package's tuner are checked, and stay on this machine.

A configuration is checked before its experiment starts, the manager listens on 127.0.0.1 only, and
what is stored or sent is read as plain data. Other experiments are left as they are.

The hooks go into NNI's modules when these are imported. nnictl imports this package because of a
line in the environment's nni_stress_nnictl.pth (see :mod:`nni_stress.experiment.registration`).
"""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import wrapt

from ..exceptions import LaunchError, StartError
from ..nni_compat import patches
from ..nni_runtime.dispatcher import ignore_malformed_messages
from ..nni_runtime.manager import OUR_LINE
from ..nni_runtime.serializer import plain_messages
from ..utils.messages import one_line
from . import guarded_start, manager_urls

_Arguments = tuple[Any, ...]
_Keywords = Mapping[str, Any]
_Function = Callable[..., Any]


def install() -> None:
    """Hook NNI's modules, now or when they are imported. Calling this again changes nothing."""
    for name, hook in _HOOKS:
        _apply_on_import(name, hook)


@functools.cache  # each hook only once
def _apply_on_import(module_name: str, hook: patches.Patch) -> None:
    """Apply a hook when a module is imported. A manager that cannot be guarded must not start."""

    def apply(module: ModuleType) -> None:
        try:
            hook(module)
        except Exception as error:
            reason = one_line(error)
            sys.exit(f"{OUR_LINE}this version of NNI cannot be guarded: {module_name}: {reason}")

    wrapt.register_post_import_hook(apply, module_name)


def _hook_start(module: ModuleType) -> None:
    """Check before the manager starts, which nnictl and Python scripts do in the same function."""
    wrapt.wrap_function_wrapper(module, "Experiment.start", guarded_start.start)


def _hook_command_line(module: ModuleType) -> None:
    """Keep the secret of the manager's URLs out of its command line, which all users see."""
    name = "NniManagerArgs.to_command_line_args"
    wrapt.wrap_function_wrapper(module, name, guarded_start.without_prefix)


def _hook_requests(module: ModuleType) -> None:
    """Let nnictl and Python scripts that know a port only find the manager's URL prefix."""
    wrapt.wrap_function_wrapper(module, "request", manager_urls.request)


def _hook_nnictl_requests(module: ModuleType) -> None:
    """The same for the commands of nnictl, which ignore URL prefixes."""
    for name in ("rest_get", "rest_put", "rest_post", "rest_delete"):
        wrapt.wrap_function_wrapper(module, name, manager_urls.with_prefix)


def _hook_nnictl(module: ModuleType) -> None:
    """Report a fault in one line, where nnictl shows a traceback."""
    wrapt.wrap_function_wrapper(module, "create_experiment", _create_checked)
    wrapt.wrap_function_wrapper(module, "resume_experiment", _report_in_one_line)
    wrapt.wrap_function_wrapper(module, "view_experiment", _report_in_one_line)
    wrapt.wrap_function_wrapper(module, "get_stopped_experiment_config_json", _require_config)


def _hook_updates(module: ModuleType) -> None:
    """Check what `nnictl update` sends to the manager."""
    wrapt.wrap_function_wrapper(module, "update_experiment_profile", _update_checked)


def _hook_stored_configs(module: ModuleType) -> None:
    """Check the configuration in an experiment's database, as NNI runs what it names."""
    wrapt.wrap_function_wrapper(module, "Config.refresh_config", _refresh_checked)


def _hook_messages(module: ModuleType) -> None:
    """Read messages as plain data in the process in which a tuner runs."""
    if os.environ.get("SDK_PROCESS") == "dispatcher":
        plain_messages(module)


def _hook_dispatcher(module: ModuleType) -> None:
    """Ignore malformed messages in the process in which a tuner runs."""
    if os.environ.get("SDK_PROCESS") == "dispatcher":
        ignore_malformed_messages(module)


def _create_checked(create: _Function, _: None, args: _Arguments, kwargs: _Keywords) -> object:
    from . import config_file

    file = Path(args[0].config)
    try:
        data = config_file.read_mapping(file)
        ours = config_file.is_ours(config_file.tuner_of(data))
    except Exception as error:
        _exit(error)
    if not ours:
        return create(*args, **kwargs)
    try:
        config_file.read(file)
        return create(*args, **kwargs)
    except Exception as error:
        _exit(error)


def _report_in_one_line(command: _Function, _: None, args: _Arguments, kwargs: _Keywords) -> object:
    try:
        return command(*args, **kwargs)
    except LaunchError as error:
        _exit(error)


def _update_checked(update: _Function, _: None, args: _Arguments, kwargs: _Keywords) -> object:
    from ..evolution.search_space import check_search_space
    from ..nni_runtime.rest import ManagerClient
    from ..utils.atomic_files import refuse_code
    from .config_file import is_ours, tuner_of

    options, key, value = args
    if key == "maxTrialNumber":
        _refuse_more_trials(options)
    if key == "searchSpace":
        profile = ManagerClient.on_port(options.port).experiment()
        if is_ours(tuner_of(profile["params"])):
            try:
                refuse_code(value)
                check_search_space(value)
            except Exception as error:
                _exit(error)
    return update(*args, **kwargs)


def _refuse_more_trials(options: Any) -> None:
    """End nnictl if it is to raise the number of trials of an evolution that has ended."""
    from nni.tools.nnictl.config_utils import Experiments
    from nni.tools.nnictl.nnictl_utils import get_config_filename

    from ..evolution.barrier import no_more_trials
    from ..lineage.locate import find_lineage
    from ..utils.atomic_files import read_json

    experiment = get_config_filename(options)
    folder = Path(Experiments().get_all_experiments()[experiment]["logDir"], experiment)
    try:
        reason = read_json(find_lineage(str(folder)) / "state.json").get("finished")
    except (OSError, ValueError, AttributeError):  # it is not ours, or has no state yet
        return
    if reason is not None:
        sys.exit(f"error: {no_more_trials(reason)}")


def _require_config(get: _Function, _: None, args: _Arguments, kwargs: _Keywords) -> object:
    config = get(*args, **kwargs)
    if config is None:
        raise LaunchError(
            f"no stopped experiment {args[0]!r}; "
            "`nnictl experiment list --all` shows which there are"
        )
    return config


def _refresh_checked(
    refresh: _Function, stored: Any, args: _Arguments, kwargs: _Keywords
) -> object:
    from ..lineage import nni_database
    from ..utils.atomic_files import refuse_code
    from . import creation
    from .config_file import is_ours, tuner_of

    try:
        # NNI's own connection, so that what is checked is what NNI reads.
        config = nni_database.experiment_config(stored.conn, stored.experiment_id)
        folder = nni_database.folder_of(stored.conn)
        if creation.is_remembered(folder):
            creation.compare(folder, config)
        if creation.is_remembered(folder) or is_ours(tuner_of(config)):
            refuse_code(config)
    except (ValueError, sqlite3.Error) as error:
        reason = one_line(error)
        raise LaunchError(f"the stored experiment {stored.experiment_id}: {reason}") from None
    return refresh(*args, **kwargs)


def _exit(error: Exception) -> NoReturn:
    prefix = OUR_LINE if isinstance(error, StartError) else "error: "
    sys.exit(f"{prefix}{one_line(error)}")


_HOOKS: tuple[tuple[str, patches.Patch], ...] = (
    ("nni.experiment.experiment", _hook_start),
    ("nni.experiment.launcher", _hook_command_line),
    ("nni.experiment.rest", _hook_requests),
    ("nni.tools.nnictl.rest_utils", _hook_nnictl_requests),
    ("nni.tools.nnictl.launcher", _hook_nnictl),
    ("nni.tools.nnictl.updater", _hook_updates),
    ("nni.tools.nnictl.config_utils", _hook_stored_configs),
    ("nni.common.serializer", _hook_messages),
    ("nni.runtime.msg_dispatcher_base", _hook_dispatcher),
)
