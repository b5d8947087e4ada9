"""Workers for tests: real sshds on 127.0.0.1, each with its own home folder.

A worker can have its own network, too, as another machine has.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from nni_stress.nni_runtime import loopback

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {keys}/host_key
AuthorizedKeysFile {keys}/user_key.pub
PidFile {home}/sshd.pid
Subsystem sftp internal-sftp
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv HOME={home} PIP_NO_INDEX=1 NODE_OPTIONS="--require {loopback}"
"""
# SetEnv: NNI keeps a worker's files in its home and runs pip there, and its server on the worker
# would listen on every interface.


class Worker(NamedTuple):
    """A worker: its home folder, its sshd, and its entry in machineList."""

    home: Path
    sshd: psutil.Process
    machine: dict


class Workers:
    """Starts workers in a folder, with one pair of keys for all, and ends them."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._keys = folder / "keys"
        self._to_end = contextlib.ExitStack()
        self._keys.mkdir()
        for name in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._keys / name)],
                check=True,
            )
        self._to_end.enter_context(_privilege_separation())

    def start(self, name: str) -> Worker:
        """Start a worker on the manager's network."""
        (port,) = free_ports(1)
        home, config = self._prepare(name, port)
        with open(home / "sshd.log", "w") as log:
            sshd = self._run([SSHD, "-D", "-e", "-f", str(config)], stderr=log)
        wait_until(lambda: answers(port) or sshd.poll() is not None, 10)
        assert answers(port), (home / "sshd.log").read_text()
        return Worker(home, psutil.Process(sshd.pid), self._machine(port))

    def start_elsewhere(self, name: str) -> Worker:
        """Start a worker with its own network: its 127.0.0.1 is not the manager's."""
        (port,) = free_ports(1)
        home, config = self._prepare(name, port)
        network = self._run(
            ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert network.stdout.readline() == "up\n"
        listener = self._to_end.enter_context(socket.create_server(("127.0.0.1", port)))
        enter = ["nsenter", "--net", "--target", str(network.pid), SSHD, "-i", "-f", str(config)]

        def accept_connections():
            with contextlib.suppress(OSError):  # the socket is closed at the end
                while True:
                    with listener.accept()[0] as connection, open(home / "sshd.log", "a") as log:
                        self._run(enter, stdin=connection, stdout=connection, stderr=log)

        threading.Thread(target=accept_connections, daemon=True).start()
        return Worker(home, psutil.Process(network.pid), self._machine(port))

    def tunnel(self, worker: Worker, port: int) -> None:
        """Open the tunnel of docs/guides/many-machines.md, from the worker to the manager."""
        machine = worker.machine
        self._run(
            [
                "ssh",
                "-N",
                "-R",
                f"{port}:127.0.0.1:{port}",
                "-p",
                str(machine["port"]),
                "-i",
                str(self._keys / "user_key"),
                "-o",
                "ExitOnForwardFailure=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=ERROR",
                f"{machine['user']}@{machine['host']}",
            ]
        )

    def end(self) -> None:
        """End all workers and tunnels."""
        self._to_end.close()

    def _prepare(self, name: str, port: int) -> tuple[Path, Path]:
        home = self._folder / name
        home.mkdir()
        config = home / "sshd_config"
        config.write_text(
            CONFIG.format(port=port, keys=self._keys, home=home, loopback=loopback.LOOPBACK)
        )
        return home, config

    def _machine(self, port: int) -> dict:
        return {
            "host": "127.0.0.1",
            "port": port,
            "user": getpass.getuser(),
            "sshKeyFile": "keys/user_key",
            "pythonPath": str(Path(sys.executable).parent),
        }

    def _run(self, command: list[str], **options) -> subprocess.Popen:
        process = subprocess.Popen(command, **options)
        self._to_end.callback(process.wait, 10)
        self._to_end.callback(process.terminate)
        return process


@contextlib.contextmanager
def _privilege_separation():
    """Make /run/sshd if it is missing: an sshd that runs as root needs it."""
    folder = Path("/run/sshd")
    make = os.geteuid() == 0 and not folder.exists()
    if make:
        folder.mkdir(mode=0o755)
    yield
    if make:
        folder.rmdir()


def own_network_possible() -> bool:
    """Tell whether a worker can have its own network here, which needs root."""
    tools = all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip"))
    return (
        tools
        and os.geteuid() == 0
        and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    )


def answers(port: int) -> bool:
    """Tell whether something listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return processes that have the folder in their command, or run in it.

    Of a worker, they are its sshd, NNI's trial keepers and the trials.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in part for part in [process.cwd(), *process.cmdline()]):
                found.append(process)
    return found


def wait_until(condition, seconds: float = 30) -> bool:
    """Wait until the condition is true or the time is over, and return which."""
    deadline = time.time() + seconds
    while not condition() and time.time() < deadline:
        time.sleep(0.1)
    return condition()
