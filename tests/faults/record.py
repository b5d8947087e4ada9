"""The record of a campaign: a file of JSON lines, from which an interrupted campaign goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class CampaignRecord:
    """Lines of one campaign: first its settings, then one line for each fault.

    Parameters
    ----------
    file
        The file.
    settings
        What decides about the campaign's faults; a file of other settings is refused.
    """

    def __init__(self, file: Path, settings: dict[str, Any]):
        self._file = file
        self.faults: list[dict[str, Any]] = []
        if file.exists():
            self._read(settings)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._append([settings])

    def _read(self, settings: dict[str, Any]) -> None:
        found, *faults = self._lines()
        if found != settings:
            raise SystemExit(
                f"{self._file} must be of a campaign with {settings}, but is of one with {found}; "
                "name another file by --record"
            )
        self.faults = faults

    def _lines(self) -> list[dict[str, Any]]:
        """All complete lines; a last line that is cut short is removed."""
        text = self._file.read_text()
        complete = text[: text.rfind("\n") + 1]
        if complete != text:
            self._file.write_text(complete)
        return [json.loads(line) for line in complete.splitlines()]

    def done(self) -> set[int]:
        """Numbers of the tasks that were recorded, each with all its faults at once."""
        return {fault["task"] for fault in self.faults}

    def add(self, faults: list[dict[str, Any]]) -> None:
        """Add the faults of one task."""
        self._append(faults)
        self.faults += faults

    def _append(self, entries: list[dict[str, Any]]) -> None:
        with open(self._file, "a") as file:
            file.write("".join(json.dumps(entry) + "\n" for entry in entries))
