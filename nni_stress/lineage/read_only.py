"""Reading a lineage without changing it, during an evolution or after. Imports no torch."""

from __future__ import annotations

import fcntl
import re
from pathlib import Path
from typing import Any

from ..exceptions import DamagedFileError
from ..utils.regular_files import open_regular
from .record import Record
from .store import ABSENT, Lineage
from .trial_spec import TrialSpec
from .uid import check_uid

_GENERATION_FORM = re.compile(r"g[0-9]{3,6}\.json\Z")


class LineageView(Lineage):
    """A lineage that is only read.

    Damaged files stay where they are, and are listed in `damaged`.

    Parameters
    ----------
    folder
        The lineage's folder.

    Examples
    --------
    >>> LineageView("/nonexistent").records()
    []
    """

    def __init__(self, folder: str | Path):
        super().__init__(folder)
        self.damaged: list[str] = []

    def records(self) -> list[Record]:
        """All records that are not damaged, by generation and position."""
        return [record for record in map(self.sound, self.uids()) if record is not None]

    def numbers(self) -> list[int]:
        """Numbers of the generations that were begun."""
        names = (path.name for path in (self.folder / "generations").glob("g*.json"))
        return sorted(int(name[1:-5]) for name in names if _GENERATION_FORM.match(name))

    def specs(self, number: int) -> tuple[dict[str, TrialSpec], set[str] | None]:
        """A generation's offspring by name, and which of them counted.

        Returns
        -------
        (specs, closed)
            `closed` is None if the generation has not closed. Of a generation that was not begun,
            or whose file is damaged, there are no specs.
        """
        planned = self.planned_generation(number)
        if planned is None:
            return {}, None
        closed = None if planned.closed is None else set(planned.closed)
        return {spec.uid: spec for spec in planned.offspring}, closed

    def planned(self, number: int) -> tuple[dict[str, dict[str, Any]], set[str] | None]:
        """The same as `specs`, each as a plain dictionary."""
        specs, closed = self.specs(number)
        return {uid: spec.to_message() for uid, spec in specs.items()}, closed

    def set_aside(self, path: Path) -> None:
        """Note a damaged file. Nothing is moved."""
        name = str(path.relative_to(self.folder))
        if name not in self.damaged:
            self.damaged.append(name)

    def taker(self, uid: str, incarnation: int) -> str | None:
        """NNI's id of the trial job that last took an offspring from a tuner; None if none did.

        Parameters
        ----------
        uid
            Name of the offspring.
        incarnation
            Number of the tuner.
        """
        attempts = (self.folder / "attempts").glob(f"{check_uid(uid)}.{incarnation}.*")
        suffixes = (path.suffix[1:] for path in attempts)
        tries = [int(suffix) for suffix in suffixes if suffix.isdecimal()]
        return self.claimant(uid, f"{incarnation}.{max(tries)}") if tries else None

    def is_under_way(self) -> bool:
        """Whether a tuner holds the lineage's lock."""
        try:
            with open_regular(self.folder / "tuner.lock") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (*ABSENT, DamagedFileError):
            pass
        return False
