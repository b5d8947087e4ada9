"""The files of one lineage: networks and results of all its offspring.

    <folder>/state.json                    the tuner's incarnation and the generation under way
    <folder>/generations/g001.json         which offspring were planned, and which of them counted
    <folder>/offspring/g001-00/record.json    what the offspring is and what it achieved
    <folder>/offspring/g001-00/network.safetensors
    <folder>/failures/g001-00.json         why an offspring was lost
    <folder>/snapshots/g001-00.pt          where the training of an offspring can be resumed
    <folder>/progress/g001-00.json         how far the making of an offspring has come
    <folder>/tensorboard/g001-00/...       loss and fidelity of its training, for TensorBoard
    <folder>/attempts/...                  which process took which offspring
    <folder>/aside/...                     damaged files, and reasons of losses that were retried

An offspring appears completely or not at all, and the first process to finish it wins. This module
imports no torch, because the tuner reads it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..exceptions import DamagedFileError
from ..utils.atomic_files import digest, digest_of, read_json, sync, write_json
from ..utils.messages import one_line
from ..utils.plain_data import is_finite
from ..utils.regular_files import open_regular, read_text
from ..utils.temporaries import folder_beside, remove_leftovers
from .planned_generation import PlannedGeneration
from .record import Record, parse_record
from .uid import FOUNDER, UID_FORM, check_uid, uid_of

__all__ = ["ABSENT", "FOUNDER", "Lineage", "Record", "check_uid", "uid_of"]

# Reading may fail with these, because another process may move a file at any moment.
ABSENT = (FileNotFoundError, NotADirectoryError)

# Bytes that files may have, many times more than they ever need.
_RECORD_BYTES = 2**22
_JOB_BYTES = 2**12
_NETWORK_BYTES = 2**28  # beside those of its synapses: buffers
_BYTES_PER_SYNAPSE = 64


class Lineage:
    """The folder of one lineage.

    Any number of processes may read it and add to it at the same time.

    Parameters
    ----------
    folder
        The folder, which is made when something is first written.

    Examples
    --------
    >>> import tempfile
    >>> lineage = Lineage(tempfile.mkdtemp())
    >>> lineage.update_state(generation=3)
    >>> lineage.read_state()
    {'generation': 3}
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    # State of the tuner

    def read_state(self) -> dict[str, Any] | None:
        """The tuner's state, or None. A damaged file is set aside."""
        return self._read(self.folder / "state.json", set())

    def update_state(self, **changes: Any) -> None:
        """Change entries of the tuner's state; the other entries stay."""
        write_json(self.folder / "state.json", {**(self.read_state() or {}), **changes})

    def last_incarnation(self) -> int:
        """Number of the tuner that last worked on this lineage, the first being 0; -1: none did."""
        attempts = (path.name.split(".")[1] for path in (self.folder / "attempts").glob("g*.*.*"))
        known = (self.read_state() or {}).get("incarnation", -1)
        numbers = [int(number) for number in attempts if number.isdecimal()]
        return max([known if type(known) is int else -1, *numbers])

    def _read(self, path: Path, keys: set[str]) -> dict[str, Any] | None:
        """The mapping with these keys in a file, or None; any other content is set aside."""
        try:
            found = read_json(path)
            if isinstance(found, dict) and keys <= set(found) and is_finite(found):
                return found
        except ABSENT:
            return None
        except ValueError:
            pass
        self.set_aside(path)
        return None

    # Generations

    def generation_path(self, number: int) -> Path:
        """The file of a generation."""
        return self.folder / "generations" / f"g{number:03d}.json"

    def generation(self, number: int) -> dict[str, Any] | None:
        """Content of a generation's file; None if it was not begun. A damaged file is set aside."""
        return self._read(self.generation_path(number), {"offspring", "suggestions", "closed"})

    def planned_generation(self, number: int) -> PlannedGeneration | None:
        """A generation's plan; None if it was not begun. A damaged file is set aside."""
        content = self.generation(number)
        if content is None:
            return None
        try:
            return PlannedGeneration.from_json(content, number)
        except (TypeError, ValueError):
            self.set_aside(self.generation_path(number))
            return None

    def write_generation(self, number: int, content: dict[str, Any]) -> None:
        """Write a generation's file."""
        write_json(self.generation_path(number), content)

    def last_search_space(self) -> dict[str, Any] | None:
        """The search space of the latest generation; that of the state if there is none."""
        numbers = range(len(list((self.folder / "generations").glob("g*.json"))), -1, -1)
        spaces = ((self.generation(number) or {}).get("space") for number in numbers)
        return next(
            (space for space in spaces if space and isinstance(space, dict)),
            (self.read_state() or {}).get("search_space"),
        )

    # Offspring

    def network_path(self, uid: str) -> Path:
        """The file of an offspring's network."""
        return self.folder / "offspring" / check_uid(uid) / "network.safetensors"

    def add(self, record: Record, save_network: Callable[[Path], None]) -> Record:
        """Add an offspring with its network.

        Parameters
        ----------
        record
            Its record; the digest is filled in.
        save_network
            Writes the network to the path it is given.

        Returns
        -------
        Record
            The record on disk, which is another one if another process was first.

        Raises
        ------
        OSError
            If the offspring cannot be written. Nothing of it remains then.
        """
        home = self.folder / "offspring" / check_uid(record.uid)
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            with folder_beside(home) as temporary:
                network = temporary / "network.safetensors"
                save_network(network)
                sync(network)
                added = record._replace(digest=digest(network))
                write_json(temporary / "record.json", added._asdict())
                os.rename(temporary, home)  # fails if the folder exists and is not empty
            sync(home.parent)
        except OSError:
            if not (home / "record.json").exists():
                raise
        found = self.record(record.uid)
        if found is None:
            raise FileNotFoundError(f"{home} was removed right after it was written")
        return found

    def record(self, uid: str) -> Record | None:
        """The record of an offspring, or None.

        Raises
        ------
        DamagedFileError
            If the record is damaged; the message names the file.
        """
        path = self.folder / "offspring" / check_uid(uid) / "record.json"
        try:
            data = read_json(path, _RECORD_BYTES)
        except ABSENT:
            return None
        try:
            return parse_record(data, uid)
        except (TypeError, ValueError) as error:
            raise DamagedFileError(f"{path} is not a record: {one_line(error)}") from None

    def records(self) -> list[Record]:
        """All records, by generation and position."""
        return [record for record in map(self.record, self.uids()) if record is not None]

    def sound_records(self) -> list[Record]:
        """All records that are not damaged; a damaged one stays where it is."""
        found = []
        for uid in self.uids():
            with contextlib.suppress(ValueError):
                found.append(self.record(uid))
        return [record for record in found if record is not None]

    def uids(self) -> list[str]:
        """Names of all offspring that have a folder, by generation and position."""
        home = self.folder / "offspring"
        if not home.is_dir():
            return []
        return sorted(path.name for path in home.iterdir() if UID_FORM.match(path.name))

    def sound(self, uid: str, with_network: bool = False) -> Record | None:
        """The record of an offspring, or None. A damaged offspring is set aside, to be made again.

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
            record = None
            damaged = True
        else:
            damaged = record is not None and with_network and not self._is_intact(record)
        if not damaged:
            return record
        self.set_aside(self.folder / "offspring" / uid)
        return None

    def _is_intact(self, record: Record) -> bool:
        try:
            with self.open_network(record):
                return True
        except (*ABSENT, DamagedFileError):
            return False

    @contextlib.contextmanager
    def open_network(self, record: Record) -> Iterator[BinaryIO]:
        """Open the file of an offspring's network for reading, compared with its record before.

        Raises
        ------
        DamagedFileError
            If it is another file than the one that was recorded, larger than the network can be, no
            regular file, or a link to a file elsewhere.
        FileNotFoundError
            If there is none.
        """
        path = self.network_path(record.uid)
        most = _NETWORK_BYTES + _BYTES_PER_SYNAPSE * int(record.synapses)
        with open_regular(path, most, inside=self.folder) as file:
            if record.digest is not None and record.digest != digest_of(file):
                raise DamagedFileError(f"{path} is damaged: it is not the file that was recorded")
            file.seek(0)
            yield file

    def set_aside(self, path: Path) -> None:
        """Move a damaged file or folder to ``aside``, under a name that is free."""
        home = self.folder / "aside"
        home.mkdir(exist_ok=True)
        names = (home / f"{path.name}.{number}" for number in itertools.count())
        os.rename(path, next(target for target in names if not target.exists()))

    # Offspring that were lost

    def _failure_path(self, uid: str) -> Path:
        return self.folder / "failures" / f"{check_uid(uid)}.json"

    def add_failure(self, uid: str, reason: str, fatal: bool = False) -> None:
        """Note why an offspring was lost.

        Parameters
        ----------
        uid
            Name of the offspring.
        reason
            One line.
        fatal
            Whether every other offspring would be lost for the same reason.
        """
        write_json(self._failure_path(uid), {"uid": uid, "reason": reason, "fatal": fatal})

    def failure(self, uid: str) -> dict[str, Any] | None:
        """Why an offspring was lost; None if it was not. A damaged file is set aside."""
        found = self._read(self._failure_path(uid), {"uid", "reason", "fatal"})
        if found is None:
            return None
        return {"uid": uid, "reason": str(found["reason"]), "fatal": found["fatal"] is True}

    def failures(self) -> list[dict[str, Any]]:
        """All failures, by generation and position."""
        paths = sorted((self.folder / "failures").glob("g*.json"))
        names = [path.stem for path in paths if UID_FORM.match(path.stem)]
        return [failure for failure in map(self.failure, names) if failure is not None]

    def allow_retry(self, uid: str) -> None:
        """Let an offspring that was lost be made again; the reason of the loss is set aside."""
        path = self._failure_path(uid)
        if path.exists():
            self.set_aside(path)

    # Snapshots, and what shows a training while it goes on

    def snapshot_path(self, uid: str) -> Path:
        """The file from which the training of an offspring can be resumed."""
        return self.folder / "snapshots" / f"{check_uid(uid)}.pt"

    def progress_path(self, uid: str) -> Path:
        """The file that tells how far the making of an offspring has come."""
        return self.folder / "progress" / f"{check_uid(uid)}.json"

    def tensorboard_path(self, uid: str) -> Path:
        """The folder of an offspring's TensorBoard scalars."""
        return self.folder / "tensorboard" / check_uid(uid)

    def remove_snapshots(self, keep: Collection[str] = ()) -> None:
        """Remove the snapshots of all offspring but some, which are being made."""
        for path in (self.folder / "snapshots").glob("g*.pt"):
            if path.stem not in keep:
                path.unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left of files and folders that they were writing."""
        for name in ("", "generations", "offspring", "failures", "snapshots", "progress"):
            remove_leftovers(self.folder / name)

    # Attempts

    def _attempt_path(self, uid: str, attempt: str) -> Path:
        if not re.fullmatch(r"\d+\.\d+", attempt):
            raise ValueError(f"an attempt is named like 0.0, but got {attempt!r}")
        return self.folder / "attempts" / f"{check_uid(uid)}.{attempt}"

    def claim(self, uid: str, attempt: str, job: str) -> bool:
        """Take an offspring for a trial job.

        Parameters
        ----------
        uid
            Name of the offspring.
        attempt
            Name of the attempt, "incarnation.number of the try".
        job
            NNI's id of the trial job.

        Returns
        -------
        bool
            False if another job has taken the same attempt.
        """
        path = self._attempt_path(uid, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "x")  # noqa: SIM115, an error of this line must not remove the file
        except FileExistsError:
            return False
        try:
            with file:
                file.write(job)
        except OSError:  # a full disk must not leave a claim that names no job
            path.unlink()
            raise
        return True

    def claims_of(self, job: str) -> list[str]:
        """The attempts that a trial job has taken."""
        attempts = (self.folder / "attempts").glob("g*")
        return [path.name for path in attempts if _job_in(path) == job]

    def claimant(self, uid: str, attempt: str) -> str | None:
        """NNI's id of the trial job that took an attempt; None if none did, "" if it is damaged."""
        return _job_in(self._attempt_path(uid, attempt))


def _job_in(path: Path) -> str | None:
    try:
        return read_text(path, _JOB_BYTES)
    except ABSENT:
        return None
    except DamagedFileError:
        return ""
