"""Lets NNI's own clients find the secret with which the URLs of a manager begin."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..nni_runtime.url_prefix import prefix_of


def request(
    send: Callable[..., Any], _: None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Call ``nni.experiment.rest.request(method, port, api, data, prefix)`` with a prefix."""
    names = ("method", "port", "api", "data", "prefix")
    given = {**dict(zip(names, args)), **kwargs}
    if given.get("prefix") is None:
        given["prefix"] = prefix_of(given.get("port"))
    return send(**given)


def with_prefix(
    send: Callable[..., Any], _: None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """Call one of nnictl's functions whose first argument is a URL, with the prefix in the URL."""
    url, *rest = args
    return send(prefixed(url), *rest, **kwargs)


def prefixed(url: str) -> str:
    """Return a URL of a manager on this machine with the manager's prefix, if it has one.

    Examples
    --------
    >>> prefixed("http://localhost:1/api/v1/nni/check-status")  # no manager runs there
    'http://localhost:1/api/v1/nni/check-status'
    """
    found = re.match(r"(http://localhost:(\d+))(/api/.*)", url)
    prefix = prefix_of(int(found[2])) if found else None
    return f"{found[1]}/{prefix}{found[3]}" if found and prefix else url
