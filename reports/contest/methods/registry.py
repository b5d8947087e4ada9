"""All methods by name."""

from __future__ import annotations

from . import evolutions, nni_pruners, outside
from .base import Method

METHODS: dict[str, Method] = {**evolutions.METHODS, **nni_pruners.METHODS, **outside.METHODS}
