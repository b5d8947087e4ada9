"""Small and read-only disks, by mount; this needs root, or a namespace of one's own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.registry import Skipped


def succeeds(*command: object) -> bool:
    """Run a command, and tell whether it succeeds."""
    return subprocess.run([*map(str, command)], capture_output=True).returncode == 0


def mount(folder: Path, size: str) -> None:
    """Mount an empty disk of a size, such as "4m".

    Raises
    ------
    Skipped
        If that is not possible here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not succeeds("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        raise Skipped("a small disk cannot be mounted here: it needs root or `unshare -rm`")


def remount(folder: Path, size: str) -> None:
    """Give a mounted disk another size."""
    assert succeeds("mount", "-o", f"remount,size={size}", folder)


def unmount(folder: Path) -> None:
    """Unmount a folder; a process that has just ended may keep it busy for a moment."""
    for _ in range(20):
        if succeeds("umount", folder):
            return
        time.sleep(0.25)
    succeeds("umount", "--lazy", folder)


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Mount an empty disk for the body of the ``with`` statement."""
    mount(folder, size)
    try:
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for root, too: it is mounted over itself."""
    if not succeeds("mount", "--bind", folder, folder):
        raise Skipped("a read-only folder cannot be mounted here: it needs root or `unshare -rm`")
    try:
        if not succeeds("mount", "-o", "remount,bind,ro", folder):
            raise Skipped("a folder cannot be mounted read-only here")
        yield
    finally:
        unmount(folder)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the disk of a folder to its last byte."""
    filler = folder / "filler"
    try:
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        yield
    finally:
        filler.unlink(missing_ok=True)


def may_mount() -> bool:
    """Tell whether disks can be mounted here."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder), "64k"):
                return True
        except Skipped:
            return False
