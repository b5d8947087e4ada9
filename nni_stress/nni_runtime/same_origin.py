"""Which requests a server of this machine answers: the rules of same_origin.js, for Python.

A web page that is open in a browser can send requests to 127.0.0.1, and a DNS name can be made to
resolve to it.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from email.message import Message

_HOSTS = "NNI_STRESS_HOSTS"  # further names of this machine, separated by commas or spaces
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)


def reason_against(method: str, headers: Mapping[str, str] | Message) -> str | None:
    """Tell why a request is refused.

    Parameters
    ----------
    method
        The request's method, as "GET".
    headers
        The request's headers, of which names in any case are found, as in `http.server`.

    Returns
    -------
    str or None
        The reason; None if the request is answered.

    Examples
    --------
    >>> reason_against("GET", {"Host": "127.0.0.1:8090"}) is None
    True
    >>> reason_against("GET", {"Host": "example.org"})
    'the Host of a request must be local, or named in NNI_STRESS_HOSTS'
    >>> reason_against("GET", {"Host": "localhost", "Origin": "http://example.org"})
    'a request must come from the page of this server'
    """
    if not _is_known(headers.get("Host", "")):
        return f"the Host of a request must be local, or named in {_HOSTS}"
    if not _is_same_origin(headers) and not _is_link(method, headers):
        return "a request must come from the page of this server"
    return None


def _is_known(host: str) -> bool:
    """Whether a Host is localhost, an address of the loopback, or a name that the user gave."""
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found["name"].strip("[]")
    if name == "localhost" or name in re.split(r"[\s,]+", os.environ.get(_HOSTS, "").lower()):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same_origin(headers: Mapping[str, str] | Message) -> bool:
    origin = headers.get("Origin")
    if origin is not None:
        host = headers.get("Host", "").lower()
        return origin.lower() in (f"http://{host}", f"https://{host}")
    # Sent by browsers only.
    return headers.get("Sec-Fetch-Site") in (None, "same-origin", "none")


def _is_link(method: str, headers: Mapping[str, str] | Message) -> bool:
    """Whether a link to the page, or a bookmark, was followed, as it may be from anywhere."""
    wanted = ("navigate", "document")
    found = (headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest"))
    return method == "GET" and headers.get("Origin") is None and found == wanted
