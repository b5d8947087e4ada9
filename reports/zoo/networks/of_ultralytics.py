"""Detectors of ultralytics."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ..entries import Entry, images


def _detector(name: str) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        from ultralytics.nn.tasks import DetectionModel

        return DetectionModel(f"{name}.yaml", verbose=False)

    return make


ENTRIES = [
    Entry(name, _detector(name), images(), package="ultralytics") for name in ("yolov8n", "yolov5n")
]
