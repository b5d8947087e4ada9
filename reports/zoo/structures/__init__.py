"""Structures that pruners are known to fail on, after public reports, one file for each kind."""

from __future__ import annotations

from ..entries import Entry
from . import attention, channels, images, sequences

STRUCTURES: dict[str, Entry] = {
    entry.name: entry
    for source in (channels, images, attention, sequences)
    for entry in source.ENTRIES
}
