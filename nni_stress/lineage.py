"""The record on disk: networks and results of every offspring of one lineage.

    <folder>/state.json                    the tuner's incarnation and the generation under way
    <folder>/offspring/g001-00/record.json    what the offspring is and what it achieved
    <folder>/offspring/g001-00/network.safetensors
    <folder>/failures/g001-00.json         why an offspring was lost
    <folder>/attempts/...                  which process took which offspring

An offspring appears whole or not at all, and the first process to finish it wins. No torch here: the tuner reads this.
"""
from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, NamedTuple

from .files import read_json, write_json

_UID = re.compile(r"g\d{3,6}-\d{2,6}\Z")


def uid_of(generation: int, slot: int) -> str:
    """Name of an offspring: its generation and its place in it. The founder is g000-00."""
    return f"g{generation:03d}-{slot:02d}"


def check_uid(uid: Any) -> str:
    """Names become paths: what is not exactly of our form is a ValueError."""
    if not isinstance(uid, str) or not _UID.match(uid):
        raise ValueError(f"an offspring is named like g001-00, but got {uid!r}")
    return uid


FOUNDER = uid_of(0, 0)


class Record(NamedTuple):
    """What one offspring is and achieved. Fidelity is in the task's unit (accuracy: a share in [0, 1])."""

    uid: str
    generation: int
    ancestor: str | None
    arguments: dict
    validation: float
    test: float
    synapses: int
    macs: int
    efficiency: float
    untrained: float | None
    architecture: dict
    seconds: dict


class Lineage:
    """The folder of one lineage. Any number of processes may read and add to it at the same time."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    # State of the tuner

    def read_state(self) -> dict | None:
        path = self.folder / "state.json"
        return read_json(path) if path.exists() else None

    def write_state(self, state: dict) -> None:
        write_json(self.folder / "state.json", state)

    # Offspring

    def network_path(self, uid: str) -> Path:
        return self.folder / "offspring" / check_uid(uid) / "network.safetensors"

    def add(self, record: Record, save_network: Callable[[Path], None]) -> Record:
        """Add an offspring with its network; where another process was first, its record stands and is returned."""
        home = self.folder / "offspring" / check_uid(record.uid)
        home.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=home.parent, prefix=f".{record.uid}."))
        try:
            save_network(temporary / "network.safetensors")
            write_json(temporary / "record.json", record._asdict())
            os.rename(temporary, home)  # fails where the folder already exists with something in it
        except OSError:
            if not (home / "record.json").exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return self.record(record.uid)

    def record(self, uid: str) -> Record | None:
        """The record of an offspring, or None. A damaged one is a ValueError that names the file."""
        path = self.folder / "offspring" / check_uid(uid) / "record.json"
        if not path.exists():
            return None
        data = read_json(path)
        try:
            return Record(**data)
        except TypeError as error:
            raise ValueError(f"{path} is not a record: {error}") from None

    def records(self) -> list[Record]:
        """All records, by generation and place."""
        home = self.folder / "offspring"
        names = sorted(p.name for p in home.iterdir() if _UID.match(p.name)) if home.is_dir() else []
        return [record for record in map(self.record, names) if record is not None]

    # Offspring that were lost

    def add_failure(self, uid: str, reason: str, fatal: bool = False) -> None:
        """Note why an offspring was lost; `fatal` where every other would be lost for the same reason."""
        write_json(self.folder / "failures" / f"{check_uid(uid)}.json", dict(uid=uid, reason=reason, fatal=fatal))

    def failure(self, uid: str) -> dict | None:
        path = self.folder / "failures" / f"{check_uid(uid)}.json"
        return read_json(path) if path.exists() else None

    def failures(self) -> list[dict]:
        """All failures, by generation and place."""
        return [read_json(path) for path in sorted((self.folder / "failures").glob("g*.json"))]

    # Attempts

    def _attempt_path(self, uid: str, attempt: str) -> Path:
        if not re.fullmatch(r"\d+\.\d+", attempt):
            raise ValueError(f"an attempt is named like 0.0, but got {attempt!r}")
        return self.folder / "attempts" / f"{check_uid(uid)}.{attempt}"

    def claim(self, uid: str, attempt: str, job: str) -> bool:
        """Take an offspring for this process. False where another process has taken the same attempt."""
        path = self._attempt_path(uid, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "x") as file:
                file.write(job)
        except FileExistsError:
            return False
        return True

    def claimed(self, uid: str, attempt: str) -> bool:
        return self._attempt_path(uid, attempt).exists()

    def claimant(self, uid: str, attempt: str) -> str:
        """NNI's id of the trial job that took an attempt."""
        return self._attempt_path(uid, attempt).read_text()
