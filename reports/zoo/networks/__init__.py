"""The networks of the zoo, one file for each source."""

from __future__ import annotations

from ..entries import Entry
from . import by_hand, of_segmentation, of_timm, of_torchvision, of_transformers, of_ultralytics

SOURCES = {
    "torchvision": of_torchvision.ENTRIES,
    "timm": of_timm.ENTRIES,
    "transformers": of_transformers.ENTRIES,
    "ultralytics": of_ultralytics.ENTRIES,
    "segmentation-models-pytorch": of_segmentation.ENTRIES,
    "written by hand": by_hand.ENTRIES,
}
NETWORKS: dict[str, Entry] = {
    entry.name: entry for entries in SOURCES.values() for entry in entries
}
