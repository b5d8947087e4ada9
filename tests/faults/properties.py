"""What must hold after any fault: no record is lost, and the lineage is what it would have been."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nni_stress import StressTuner
from nni_stress.lineage.record import Record
from nni_stress.lineage.store import Lineage
from reports.simulation import SimulatedManager
from tests.unit.evolution.test_tuner import consistent

SETTINGS = {
    "population_size": 3,
    "generations": 4,
    "tolerance": 0.9,
    "survivors": 2,
}


def records(lineage: Lineage) -> list[Record]:
    """All records, without the times that they took."""
    return [record._replace(seconds={}) for record in lineage.records()]


def undisturbed(settings: dict[str, Any]) -> list[Record]:
    """Records of an evolution with these arguments of the tuner, over a simulated manager."""
    with tempfile.TemporaryDirectory() as folder:
        SimulatedManager(StressTuner(**{**settings, "folder": folder})).run()
        return records(Lineage(folder))


class Snapshot:
    """Remembers the records that a lineage had, none of which may be lost."""

    def __init__(self, lineage: Lineage):
        self._lineage = lineage
        self._texts: dict[str, bytes] = {}

    def take(self) -> None:
        """Remember the records that there are now."""
        for path in (self._lineage.folder / "offspring").glob("g*/record.json"):
            self._texts[path.parent.name] = path.read_bytes()

    def forget(self, uid: str) -> None:
        """Do not expect this record any more, because it is damaged on purpose."""
        self._texts.pop(uid, None)

    def check(self) -> None:
        """Check that each record is still there, maybe set aside with its damaged network."""
        for uid, text in self._texts.items():
            homes = [self._lineage.folder / "offspring" / uid]
            homes += (self._lineage.folder / "aside").glob(f"{uid}.*")
            files = [home / "record.json" for home in homes if (home / "record.json").exists()]
            found = any(file.read_bytes() == text for file in files)
            assert found, f"the record of {uid} was lost"


def check_end(lineage: Lineage, settings: dict[str, Any], same_records: bool) -> None:
    """Check a lineage whose evolution has ended.

    Parameters
    ----------
    lineage
        The lineage.
    settings
        Arguments of its tuner.
    same_records
        Whether its records must equal those of an undisturbed evolution.
    """
    state = lineage.read_state()
    assert state is not None, "the lineage has no state"
    consistent(lineage, state, settings["population_size"])
    if not same_records:
        return
    found, expected = records(lineage), undisturbed(settings)
    different = [
        record.uid for record, other in zip(found, expected, strict=False) if record != other
    ]
    lost = sorted({r.uid for r in expected} - {r.uid for r in found})
    assert found == expected, f"other records than undisturbed: {different[:3]}, lost: {lost[:3]}"


def state_in_words(folder: Path) -> str:
    """What `python -m nni_stress status` says of a lineage."""
    from nni_stress.visualization.snapshot import overview
    from nni_stress.visualization.text import status_text

    return status_text(overview(folder))
