"""All methods by name: what each does with the epochs of a cell's search."""

from __future__ import annotations

from . import evolutions, nni_pruners, outside
from .base import Method

METHODS: dict[str, Method] = {**evolutions.METHODS, **nni_pruners.METHODS, **outside.METHODS}
