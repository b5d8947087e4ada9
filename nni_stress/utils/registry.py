"""Registries whose names are known without importing what they name."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

Entry = TypeVar("Entry")

_OWN = re.compile(r"[A-Za-z_]\w*::[A-Za-z_]\w*")


def is_own_name(value: Any) -> bool:
    """Whether a value has the form of a name that users give: ``namespace::name``.

    It tells them from misspelt names of this package where users' code has not run, as in a tuner.

    Examples
    --------
    >>> is_own_name("my::variance"), is_own_name("variance")
    (True, False)
    """
    return isinstance(value, str) and _OWN.fullmatch(value) is not None


class Registry(dict[Any, Entry]):
    """Entries by name: those of this package, and those that users add.

    Parameters
    ----------
    what
        What an entry is, for messages.
    how
        The function by which users add one, for messages.
    entries
        The entries of this package.

    Examples
    --------
    >>> registry = Registry("strength", "register_importance", {"l2": 2})
    >>> registry.add("my::cube", 3, source=is_own_name)
    >>> registry["my::cube"]
    3
    >>> registry["my::cub"]
    Traceback (most recent call last):
        ...
    ValueError: strength must be one of l2, my::cube, or be registered by nni_stress.register_\
importance before, but got 'my::cub'
    """

    def __init__(self, what: str, how: str, entries: Mapping[Any, Entry]):
        super().__init__(entries)
        self._what = what
        self._how = how
        self._sources: dict[Any, tuple[str, str]] = {}

    def add(self, key: Any, entry: Entry, source: Any) -> None:
        """Add an entry of the user's.

        Parameters
        ----------
        key
            Its name, or what else it is for.
        entry
            The entry. It replaces one of the same source, as a notebook runs a cell again.
        source
            The function that it was made from.

        Raises
        ------
        ValueError
            If there is one of another source.
        """
        origin = (source.__module__, source.__qualname__)
        if self._sources.get(key, None if key in self else origin) != origin:
            where = ".".join(self._sources.get(key, ("nni_stress",)))
            raise ValueError(
                f"{self._what} {getattr(key, '__name__', key)!r} is registered already, by {where}"
            )
        self._sources[key] = origin
        self[key] = entry

    def own(self) -> dict[Any, tuple[Entry, tuple[str, str]]]:
        """What users added: {name: (entry, its source)}, for another process."""
        return {key: (self[key], origin) for key, origin in self._sources.items()}

    def take(self, own: Mapping[Any, tuple[Entry, tuple[str, str]]]) -> None:
        """Add what `own` returned in another process."""
        for key, (entry, origin) in own.items():
            self[key] = entry
            self._sources[key] = origin

    def __missing__(self, key: Any) -> Entry:
        raise ValueError(
            f"{self._what} must be one of {', '.join(map(str, self))}, or be registered by "
            f"nni_stress.{self._how} before, but got {key!r}"
        )


def check_own_name(what: str, name: Any) -> None:
    """Check a name under which a user registers something.

    Raises
    ------
    ValueError
        If it is not of the form ``namespace::name``.

    Examples
    --------
    >>> check_own_name("strength", "variance")
    Traceback (most recent call last):
        ...
    ValueError: strength must have a name as 'my::variance', with a namespace of yours, but got \
'variance'
    """
    if not is_own_name(name):
        example = f"my::{name}" if isinstance(name, str) and name.isidentifier() else "my::name"
        raise ValueError(
            f"{what} must have a name as {example!r}, with a namespace of yours, but got {name!r}"
        )


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
