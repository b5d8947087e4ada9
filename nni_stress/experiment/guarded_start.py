"""Starts the manager of an experiment with this package's tuner: checked, private, and watched."""

from __future__ import annotations

import inspect
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..nni_runtime import loopback, url_prefix


def start(
    start: Callable[..., Any], experiment: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> object:
    """Check an experiment, start its manager on 127.0.0.1, and wait until its tuner has started.

    Wraps ``nni.experiment.Experiment.start``, by which nnictl and Python scripts start managers.

    Raises
    ------
    LaunchError
        If the experiment is wrong, is not what it was when it was created, or its tuner does not
        start.
    """
    from . import config_file, creation, trial_check, tuner_start, validation

    config = experiment.config
    action = experiment._action  # noqa: SLF001, NNI has no public name for create, resume or view
    ours = config_file.is_ours(getattr(config, "tuner", None) or getattr(config, "advisor", None))
    if not ours and (action == "create" or not creation.is_remembered(_folder_of(experiment))):
        return _start_other(start, experiment, args, kwargs)
    port = _port_of(start, args, kwargs)
    with loopback.on_loopback(experiment.url_prefix) as experiment.url_prefix:
        if action != "view":
            # A search space that was updated to a wrong one must not prevent resuming.
            validation.check(config, with_space=action != "resume")
        loopback.check_port(port)
        folder = _folder_of(experiment)
        if action == "create":
            trial_check.check_trials(config)
        if action == "create" or not creation.is_remembered(folder):
            creation.remember(folder, config.canonical_copy().json())
        started = _start_and_show(start, experiment, port, args, kwargs)
    if action != "view":
        tuner_start.wait(experiment, folder / "log")
    return started


def _start_other(
    start: Callable[..., Any], experiment: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> object:
    """Start an experiment with another tuner; only a contest's is guarded, from outside."""
    prefix = os.environ.get(url_prefix.VARIABLE)
    if prefix is None:
        return start(*args, **kwargs)
    experiment.url_prefix = prefix
    return _start_and_show(start, experiment, _port_of(start, args, kwargs), args, kwargs)


def _port_of(start: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the port that a call of `start` names, or its default."""
    call = inspect.signature(start).bind(*args, **kwargs)
    call.apply_defaults()
    return call.arguments["port"]


def _start_and_show(
    start: Callable[..., Any],
    experiment: Any,
    port: int,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> object:
    """Start a manager, and print the URLs at which it answers, where NNI prints others."""
    from nni.tools.nnictl.config_utils import Experiments

    with _shown_urls(experiment.url_prefix):
        started = start(*args, **kwargs)
    url = f"http://127.0.0.1:{port}/{experiment.url_prefix}/"
    Experiments().update_experiment(experiment.id, "webuiUrl", [url])  # for `nnictl webui url`
    return started


@contextmanager
def _shown_urls(prefix: str) -> Iterator[None]:
    def correct(record: logging.LogRecord) -> bool:
        if str(record.msg).startswith("Web portal URLs:"):
            urls = re.findall(r"http://[^/\s]+", str(record.msg))
            if not loopback.everywhere():
                urls = [url for url in urls if url.startswith("http://127.0.0.1:")][:1]
            shown = " ".join(f"{url}/{prefix}/" for url in dict.fromkeys(urls))
            record.msg = "Web portal URLs: ${CYAN}" + shown
        return True

    logger = logging.getLogger("nni.experiment")
    logger.addFilter(correct)
    try:
        yield
    finally:
        logger.removeFilter(correct)


def without_prefix(
    make: Callable[[], list[str]], _: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> list[str]:
    """Make the manager's command line without a secret prefix, which it takes from a variable.

    Wraps ``nni.experiment.launcher.NniManagerArgs.to_command_line_args``.
    """
    words = make(*args, **kwargs)
    if os.environ.get(url_prefix.VARIABLE) in words:
        place = words.index("--url-prefix")
        del words[place : place + 2]
    return words


def _folder_of(experiment: Any) -> Path:
    """Return NNI's folder of an experiment."""
    return Path(experiment.config.canonical_copy().experiment_working_directory, experiment.id)
