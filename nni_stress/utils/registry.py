"""Registries whose names are known without importing what they name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TypeVar

Entry = TypeVar("Entry")


def load_entries(package: str, names: Iterable[str], base: type[Entry]) -> dict[str, Entry]:
    """Make one instance of each class of a registry.

    The class of an entry stands in a module of the package that has the name of the entry, and its
    attribute `name` is that name. So settings can list names without importing the classes.

    Parameters
    ----------
    package
        Dotted name of the package.
    names
        Names of the entries.
    base
        Class from which the classes of all entries are derived.

    Returns
    -------
    dict
        {name: instance}, in the order of `names`.

    Raises
    ------
    ImportError
        If there is no module of that name, or it has no such class.

    Examples
    --------
    >>> from nni_stress.pruning.stressors.base import Stressor
    >>> load_entries("nni_stress.pruning.stressors", ["weaken"], Stressor)["weaken"].name
    'weaken'
    """
    return {name: _class_of(package, name, base)() for name in names}


def _class_of(package: str, name: str, base: type[Entry]) -> type[Entry]:
    module = importlib.import_module(f".{name}", package)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, base) and vars(value).get("name") == name:
            return value
    raise ImportError(f"{module.__name__} must define a {base.__name__} with name = {name!r}")
