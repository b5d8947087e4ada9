"""Looking at a lineage without changing anything of it, while others work on it or after. No torch here."""

from __future__ import annotations

import fcntl
from pathlib import Path

from .store import ABSENT, Lineage, Record, check_uid


class LineageView(Lineage):
    """A lineage that is only looked at: what is damaged stays where it is, and is listed in `damaged`."""

    def __init__(self, folder: str | Path):
        super().__init__(folder)
        self.damaged: list[str] = []

    def records(self) -> list[Record]:
        """All records that are sound, by generation and place."""
        return [record for record in map(self.sound, self._names()) if record is not None]

    def numbers(self) -> list[int]:
        """The generations that were begun."""
        names = (path.stem[1:] for path in (self.folder / "generations").glob("g*.json"))
        return sorted(int(name) for name in names if name.isdecimal())

    def planned(self, number: int) -> tuple[dict[str, dict], set[str] | None]:
        """Parameters of a generation's offspring by name, and which of them counted once it closed (None: not yet)."""
        found = self.generation(number) or {"offspring": [], "closed": None}
        try:
            planned = {
                check_uid(parameters["uid"]): parameters for parameters in found["offspring"]
            }
            for parameters in planned.values():
                for ancestor in filter(None, (parameters["ancestor"], parameters["other"])):
                    check_uid(ancestor)
                if not isinstance(parameters["arguments"], dict):
                    raise TypeError
            return planned, None if found["closed"] is None else {*map(check_uid, found["closed"])}
        except (KeyError, TypeError, ValueError):
            self.set_aside(self._generation_path(number))
            return {}, None

    def set_aside(self, path: Path) -> None:
        """Nothing is moved."""
        name = str(path.relative_to(self.folder))
        if name not in self.damaged:
            self.damaged.append(name)

    def taker(self, uid: str, incarnation: int) -> str | None:
        """NNI's id of the trial job that last took an offspring from this incarnation of the tuner; None where none has."""
        suffixes = (
            path.suffix[1:]
            for path in (self.folder / "attempts").glob(f"{check_uid(uid)}.{incarnation}.*")
        )
        tries = [int(suffix) for suffix in suffixes if suffix.isdecimal()]
        return self.claimant(uid, f"{incarnation}.{max(tries)}") if tries else None

    def is_under_way(self) -> bool:
        """Whether a tuner holds the lineage's lock."""
        try:
            with open(self.folder / "tuner.lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except ABSENT:
            pass
        return False
