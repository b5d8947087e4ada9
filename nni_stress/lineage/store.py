"""The record on disk: networks and results of every offspring of one lineage.

    <folder>/state.json                    the tuner's incarnation and the generation under way
    <folder>/generations/g001.json         what a generation's offspring were to be, and which of them counted
    <folder>/offspring/g001-00/record.json    what the offspring is and what it achieved
    <folder>/offspring/g001-00/network.safetensors
    <folder>/failures/g001-00.json         why an offspring was lost
    <folder>/attempts/...                  which process took which offspring
    <folder>/aside/...                     what was found damaged, and old reasons of losses

An offspring appears whole or not at all, and the first process to finish it wins. No torch here: the tuner reads this.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..utils.atomic_files import beside, digest, read_json, sync, write_json

_UID = re.compile(r"g\d{3,6}-\d{2,6}\Z")
ABSENT = (
    FileNotFoundError,
    NotADirectoryError,
)  # asked for by reading: another process may move what was there just now


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
    efficiency: float  # architecture efficiency: the founder's synapses / this network's
    untrained: float | None  # validation fidelity right after synthesis
    architecture: dict
    seconds: dict
    other: str | None = None  # the second ancestor, where there are two
    latency: float | None = None  # share of the founder's, measured beside it, where it matters
    digest: str | None = None  # of the network's file
    curve: list = []  # validation fidelity before the recovery, and at checks evenly spread over it; fewer: ended early
    forecast: float | None = (
        None  # validation fidelity that was likely, had the recovery not been ended early
    )


class Lineage:
    """The folder of one lineage. Any number of processes may read and add to it at the same time."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    # State of the tuner

    def read_state(self) -> dict | None:
        """The tuner's state, or None; a damaged one is set aside, as all of it can be found out again."""
        return self._read(self.folder / "state.json", set())

    def update_state(self, **changes) -> None:
        write_json(self.folder / "state.json", {**(self.read_state() or {}), **changes})

    def last_incarnation(self) -> int:
        """How often a tuner has begun to work on this lineage, less one."""
        attempts = (path.name.split(".")[1] for path in (self.folder / "attempts").glob("g*.*.*"))
        return max(
            [
                (self.read_state() or {}).get("incarnation", -1),
                *(int(n) for n in attempts if n.isdigit()),
            ]
        )

    def _read(self, path: Path, keys: set) -> dict | None:
        """A mapping with these keys, or None; what is there and is none is set aside."""
        try:
            found = read_json(path)
            if isinstance(found, dict) and keys <= set(found):
                return found
        except ABSENT:
            return None
        except ValueError:
            pass
        self.set_aside(path)
        return None

    # Generations

    def _generation_path(self, number: int) -> Path:
        return self.folder / "generations" / f"g{number:03d}.json"

    def generation(self, number: int) -> dict | None:
        """What a generation's offspring were to be; None where it was not begun. A damaged file is set aside."""
        return self._read(self._generation_path(number), {"offspring", "suggestions", "closed"})

    def write_generation(self, number: int, content: dict) -> None:
        write_json(self._generation_path(number), content)

    def last_search_space(self) -> dict | None:
        """The search space of the latest generation."""
        numbers = range(len(list((self.folder / "generations").glob("g*.json"))), -1, -1)
        spaces = ((self.generation(number) or {}).get("space") for number in numbers)
        return next(
            (space for space in spaces if space), (self.read_state() or {}).get("search_space")
        )

    # Offspring

    def network_path(self, uid: str) -> Path:
        return self.folder / "offspring" / check_uid(uid) / "network.safetensors"

    def add(self, record: Record, save_network: Callable[[Path], None]) -> Record:
        """Add an offspring with its network; where another process was first, its record stands and is returned."""
        home = self.folder / "offspring" / check_uid(record.uid)
        home.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(home)
        temporary.mkdir()
        try:
            network = temporary / "network.safetensors"
            save_network(network)
            sync(network)
            write_json(temporary / "record.json", record._replace(digest=digest(network))._asdict())
            os.rename(temporary, home)  # fails where the folder already exists with something in it
            sync(home.parent)
        except OSError:
            if not (home / "record.json").exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return self.record(record.uid)

    def record(self, uid: str) -> Record | None:
        """The record of an offspring, or None. A damaged one is a ValueError that names the file."""
        path = self.folder / "offspring" / check_uid(uid) / "record.json"
        try:
            data = read_json(path)
        except ABSENT:
            return None
        try:
            record = Record(**data)
            _check(record, uid)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a record: {error}") from None
        return record

    def records(self) -> list[Record]:
        """All records, by generation and place."""
        return [record for record in map(self.record, self._names()) if record is not None]

    def sound_records(self) -> list[Record]:
        """All records that are not damaged; what is, is left where it is."""
        found = []
        for uid in self._names():
            try:
                found.append(self.record(uid))
            except ValueError:
                continue
        return [record for record in found if record is not None]

    def _names(self) -> list[str]:
        home = self.folder / "offspring"
        return (
            sorted(path.name for path in home.iterdir() if _UID.match(path.name))
            if home.is_dir()
            else []
        )

    def sound(self, uid: str, with_network: bool = False) -> Record | None:
        """The record of an offspring, or None; what is damaged is set aside, and can be made again.

        Parameters
        ----------
        uid
            Name of the offspring.
        with_network
            Whether the network's file is read as well, and compared with its digest.
        """
        try:
            record = self.record(uid)
        except ValueError:
            record, damaged = None, True
        else:
            damaged = record is not None and with_network and not self._intact(record)
        if not damaged:
            return record
        self.set_aside(self.folder / "offspring" / uid)
        return None

    def _intact(self, record: Record) -> bool:
        path = self.network_path(record.uid)
        return path.is_file() and record.digest in (None, digest(path))

    def set_aside(self, path: Path) -> None:
        """Move what is damaged out of the way, and lose nothing of it."""
        home = self.folder / "aside"
        home.mkdir(exist_ok=True)
        target = next(
            t for t in (home / f"{path.name}.{n}" for n in itertools.count()) if not t.exists()
        )
        os.rename(path, target)

    # Offspring that were lost

    def _failure_path(self, uid: str) -> Path:
        return self.folder / "failures" / f"{check_uid(uid)}.json"

    def add_failure(self, uid: str, reason: str, fatal: bool = False) -> None:
        """Note why an offspring was lost; `fatal` where every other would be lost for the same reason."""
        write_json(self._failure_path(uid), {"uid": uid, "reason": reason, "fatal": fatal})

    def failure(self, uid: str) -> dict | None:
        """Why an offspring was lost; None where it was not. A damaged file is set aside: its offspring is made again."""
        found = self._read(self._failure_path(uid), {"uid", "reason", "fatal"})
        return found and {**found, "uid": uid}

    def failures(self) -> list[dict]:
        """All failures, by generation and place."""
        names = [
            path.stem
            for path in sorted((self.folder / "failures").glob("g*.json"))
            if _UID.match(path.stem)
        ]
        return [failure for failure in map(self.failure, names) if failure is not None]

    def pardon(self, uid: str) -> None:
        """Let an offspring that was lost be made again; the reason of its loss is kept beside the failures."""
        path = self._failure_path(uid)
        if path.exists():
            self.set_aside(path)

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
            file = open(path, "x")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(job)
        except OSError:  # a full disk must not leave a claim of nobody's
            path.unlink()
            raise
        return True

    def claims_of(self, job: str) -> list[str]:
        """The attempts that a trial job has taken."""
        return [
            path.name for path in (self.folder / "attempts").glob("g*") if path.read_text() == job
        ]

    def claimant(self, uid: str, attempt: str) -> str | None:
        """NNI's id of the trial job that took an attempt; None where none has."""
        try:
            return self._attempt_path(uid, attempt).read_text()
        except FileNotFoundError:
            return None


def _check(record: Record, uid: str) -> None:
    if record.uid != uid:
        raise ValueError(f"uid must be {uid}, but got {record.uid!r}")
    for name in ("ancestor", "other"):
        if getattr(record, name) is not None:
            check_uid(getattr(record, name))
    for name in ("arguments", "architecture", "seconds"):
        if not isinstance(getattr(record, name), dict):
            raise ValueError(f"{name} must be a mapping, but got {getattr(record, name)!r}")
    if type(record.generation) is not int or record.generation != int(uid[1:].split("-")[0]):
        raise ValueError(f"generation must be that of {uid}, but got {record.generation!r}")
    if not isinstance(record.curve, list):
        raise ValueError(f"curve must be a list, but got {record.curve!r}")
    values = [
        (name, getattr(record, name))
        for name in (
            "validation",
            "test",
            "synapses",
            "macs",
            "efficiency",
            "untrained",
            "latency",
            "forecast",
        )
    ]
    for name, value in [*values, *(("curve", value) for value in record.curve)]:
        if name in ("untrained", "latency", "forecast") and value is None:
            continue
        if type(value) not in (int, float) or not -1e100 < value < 1e100:  # NaN is not, either
            raise ValueError(f"{name} must be a finite number, but got {value!r}")
        if (
            name in ("synapses", "macs", "efficiency", "latency") and value < 1e-12
        ):  # they divide, and have logarithms
            raise ValueError(f"{name} must be above 0, but got {value!r}")
