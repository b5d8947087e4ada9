"""The kinds of faults: each is a function in a file of tests/faults/kinds, registered there."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

NONE = "no target"  # what a fault did that found nothing to happen to


class Skipped(Exception):
    """The fault is not possible here; the message says why."""


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Parameters
    ----------
    name
        As it stands in records and tables.
    group
        Module in which it is defined.
    inject
        Does it. Over the real manager it is given the running experiment, and returns what it did.
        Over a simulated manager it is given a `Simulated`, and runs the whole evolution.
    simulated
        Whether NNI's manager is simulated.
    same_records
        Whether the records must equal those of an undisturbed evolution. Otherwise the fault loses
        offspring, and the lineage must be complete and consistent.
    prepare
        Changes the experiment's configuration, folder or environment before it starts. Such a
        fault has an experiment of its own.
    """

    name: str
    group: str
    inject: Callable[[Any], str | None]
    simulated: bool = False
    same_records: bool = True
    prepare: Callable[[Any], None] | None = None


_KINDS: dict[str, Kind] = {}


def fault(name: str, **settings: Any) -> Callable[[Callable], Callable]:
    """Register a function as a kind of fault; `settings` are those of `Kind`."""

    def register(inject: Callable) -> Callable:
        assert name not in _KINDS, f"two kinds are called {name!r}"
        _KINDS[name] = Kind(name, inject.__module__.rsplit(".", 1)[-1], inject, **settings)
        return inject

    return register


def kinds() -> dict[str, Kind]:
    """All kinds by name, in the order of their modules."""
    from . import kinds as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(_KINDS)
