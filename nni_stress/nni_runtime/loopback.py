"""Makes NNI's manager listen on 127.0.0.1 only, and refuse requests of foreign pages and users.

By itself it listens on every network interface, and it has no login.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..exceptions import LaunchError
from . import url_prefix

LOOPBACK = Path(__file__).parents[1] / "loopback.js"
SAME_ORIGIN = Path(__file__).with_name("same_origin.js")
PRIVATE = Path(__file__).with_name("private.js")
PATIENCE = Path(__file__).with_name("patience.js")
VARIABLE = "NNI_STRESS_LISTEN"

# Threads start managers one after the other: they change the environment of the whole process, and
# NNI does not protect its own files from concurrent starts.
_starting = threading.RLock()


def everywhere() -> bool:
    """Tell whether the user allows the manager to listen on every interface.

    Raises
    ------
    LaunchError
        If the environment variable NNI_STRESS_LISTEN is set to anything but "everywhere".

    Examples
    --------
    >>> everywhere()  # NNI_STRESS_LISTEN is not set
    False
    """
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "everywhere"):
        raise LaunchError(
            f"{VARIABLE} must be 'everywhere', or not set for 127.0.0.1 only, but got {value!r}"
        )
    return value == "everywhere"


def check_port(port: int) -> None:
    """Check that the manager can listen on this port.

    Raises
    ------
    LaunchError
        If the port is out of range, is in use, or needs permissions.

    Examples
    --------
    >>> check_port(70000)
    Traceback (most recent call last):
    nni_stress.exceptions.LaunchError: port must lie in [1, 65535], but got 70000
    """
    if not 1 <= port <= 65535:
        raise LaunchError(f"port must lie in [1, 65535], but got {port}")
    with socket.socket() as probe:
        # As node does, which does not mind connections that have been closed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if everywhere() else "127.0.0.1", port))
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "is in use" if in_use else f"cannot be used ({error.strerror})"
            raise LaunchError(f"port {port} {reason}; name another") from None


@contextlib.contextmanager
def on_loopback(given_prefix: str | None = None) -> Iterator[str]:
    """Guard a manager that is started in this context, and its children.

    They refuse requests whose Host or Origin is foreign, and listen on 127.0.0.1 only, except if
    :func:`everywhere`. The manager's URLs begin with a secret, its files are for the user alone,
    and its tuner has more time to start. Only one thread at a time is in this context.

    Parameters
    ----------
    given_prefix
        URL prefix that the user asked for; the secret follows it.

    Yields
    ------
    str
        The manager's URL prefix, with the secret.

    Examples
    --------
    >>> with on_loopback() as prefix:
    ...     "loopback.js" in os.environ["NODE_OPTIONS"], len(prefix)
    (True, 32)
    """
    files = [SAME_ORIGIN, PRIVATE, PATIENCE]
    if not everywhere():
        files = [LOOPBACK, *files]
    prefix = url_prefix.new_prefix(given_prefix)
    with _starting:
        before = {name: os.environ.get(name) for name in ("NODE_OPTIONS", url_prefix.VARIABLE)}
        options = filter(None, [before["NODE_OPTIONS"], *map(preloading, files)])
        os.environ["NODE_OPTIONS"] = " ".join(options)
        os.environ[url_prefix.VARIABLE] = prefix
        url_prefix.keep_list_private()
        try:
            yield prefix
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def preloading(file: Path) -> str:
    """The option of node that loads a file before all others.

    Examples
    --------
    >>> preloading(Path("/home/user/file.js"))
    '--require "/home/user/file.js"'
    """
    quoted = str(file).replace("\\", "\\\\").replace('"', '\\"')
    return f'--require "{quoted}"'


def refuse_exposed_manager() -> None:
    """Check, in the tuner's process, that other machines cannot reach the manager.

    An experiment that was started without :func:`on_loopback` thus ends before its first trial.

    Raises
    ------
    ValueError
        If the manager listens on an address other than 127.0.0.1, and may not.

    Examples
    --------
    >>> refuse_exposed_manager()  # no manager runs this process
    """
    channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
    if channel is None or everywhere():
        return
    listening = _addresses_of_manager(urlsplit(channel).port or 80)
    exposed = [address for address in listening if not _is_loopback(address.ip)]
    if exposed:
        raise ValueError(
            "NNI's manager, which has no login, must listen on 127.0.0.1 only, but it listens on "
            f"{exposed[0].ip} port {exposed[0].port}; run `python -m nni_stress register` once "
            f"(in a script of your own: import nni_stress), or set {VARIABLE}=everywhere"
        )


class _Address(NamedTuple):
    ip: str
    port: int


def _addresses_of_manager(port: int) -> list[_Address]:
    """Return all addresses on which the manager listens.

    The manager is the ancestor of this process that listens on `port`. If no ancestor is seen to do
    so, the addresses are those of whatever process listens on it.
    """
    import psutil

    for process in psutil.Process().parents():  # the manager runs its tuner through a shell
        try:
            # psutil 6 renamed the method.
            connections = getattr(process, "net_connections", None) or process.connections
            listening = _listening(connections("tcp"))
        except psutil.Error:
            continue
        if any(address.port == port for address in listening):
            return listening
    return [
        address for address in _listening(psutil.net_connections("tcp")) if address.port == port
    ]


def _listening(connections: Iterable[Any]) -> list[_Address]:
    import psutil

    return [
        _Address(*connection.laddr)
        for connection in connections
        if connection.status == psutil.CONN_LISTEN
    ]


def _is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
