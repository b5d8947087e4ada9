"""Where NNI's manager listens: it has no login, and by itself it binds every interface. Ours listens on 127.0.0.1."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ..exceptions import LaunchError

LOOPBACK = Path(__file__).parents[1] / "loopback.js"
VARIABLE = "NNI_STRESS_LISTEN"
_starting = (
    threading.RLock()
)  # the environment is the whole process's; and NNI makes its own files with no care for others


def everywhere() -> bool:
    """Whether the user said, in so many words, that the manager may listen on every interface."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "everywhere"):
        raise LaunchError(
            f"{VARIABLE} must be 'everywhere', or not set for 127.0.0.1 only, but got {value!r}"
        )
    return value == "everywhere"


def check_port(port: int) -> None:
    """Raise a LaunchError if the manager could not listen on this port."""
    if not 1 <= port <= 65535:
        raise LaunchError(f"port must lie in [1, 65535], but got {port}")
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as node does: closed connections do not count
        try:
            probe.bind(("" if everywhere() else "127.0.0.1", port))
        except OSError as error:
            reason = (
                "is in use"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used ({error.strerror})"
            )
            raise LaunchError(f"port {port} {reason}; name another") from None


@contextlib.contextmanager
def on_loopback() -> Iterator[None]:
    """The manager that is started meanwhile, and what it starts, listens on 127.0.0.1 only, unless the user wants more.

    Threads that start managers take turns.
    """
    with _starting:
        before = os.environ.get("NODE_OPTIONS")
        if not everywhere():
            file = str(LOOPBACK).replace("\\", "\\\\").replace('"', '\\"')
            os.environ["NODE_OPTIONS"] = f'{before or ""} --require "{file}"'.strip()
        try:
            yield
        finally:
            os.environ.pop("NODE_OPTIONS", None)
            if before is not None:
                os.environ["NODE_OPTIONS"] = before


def refuse_exposed_manager() -> None:
    """In the tuner's process: raise a ValueError if the manager listens where other machines can reach it.

    So an experiment that was started past our hook in nnictl ends before its first trial.
    """
    channel = os.environ.get("NNI_TUNER_COMMAND_CHANNEL")
    if channel is None or everywhere():
        return
    exposed = [
        each for each in _listening_of_manager(urlsplit(channel).port) if not _is_loopback(each.ip)
    ]
    if exposed:
        raise ValueError(
            "NNI's manager, which has no login, must listen on 127.0.0.1 only, but it listens on "
            f"{exposed[0].ip} port {exposed[0].port}; run `python -m nni_stress register` once "
            f"(in a script of your own: import nni_stress), or set {VARIABLE}=everywhere"
        )


def _listening_of_manager(port: int) -> list:
    """All addresses on which the manager listens: of our ancestors, the one that listens on `port`."""
    import psutil

    for process in psutil.Process().parents():  # the manager runs its tuner through a shell
        try:
            connections = (
                process.net_connections
                if hasattr(process, "net_connections")
                else process.connections
            )
            listening = [
                each.laddr for each in connections("tcp") if each.status == psutil.CONN_LISTEN
            ]
        except psutil.Error:
            continue
        if port in [address.port for address in listening]:
            return listening
    return [
        each.laddr
        for each in psutil.net_connections("tcp")  # no such ancestor is seen: whoever listens there
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    ]


def _is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback
