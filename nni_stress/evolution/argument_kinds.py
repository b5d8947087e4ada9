"""Kinds of arguments: which values each takes, and how documentation shows its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..hparams import Bounds, spec_of
from ..resources import RESOURCES


class Kind(Protocol):
    """Which values an argument takes."""

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""

    def describe(self) -> str:
        """The bounds as documentation shows them."""


@dataclass(frozen=True)
class WholeNumber:
    """A whole number of at least `least`.

    Examples
    --------
    >>> WholeNumber(1).check("generations", 0)
    Traceback (most recent call last):
        ...
    ValueError: generations must be a whole number of at least 1, but got 0
    """

    least: int

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if type(value) is not int or value < self.least:
            raise ValueError(
                f"{name} must be a whole number of at least {self.least}, but got {value!r}"
            )

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return f"at least {self.least}, whole"


@dataclass(frozen=True)
class Number:
    """A finite number of at least `least`, or, if it is `optional`, None.

    Examples
    --------
    >>> Number(1, optional=True).check("time_limit", None)
    """

    least: int
    optional: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if value is None and self.optional:
            return
        if type(value) not in (int, float) or not self.least <= value < math.inf:
            raise ValueError(f"{name} must be a number of at least {self.least}, but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return f"at least {self.least}"


@dataclass(frozen=True)
class As:
    """A number within the bounds of a hyperparameter, or, if it is `optional`, None.

    Examples
    --------
    >>> As("recovery_epochs").describe()
    '[0, 1000]'
    """

    hyperparameter: str
    optional: bool = False

    @property
    def _bounds(self) -> Bounds:
        bounds: Bounds = spec_of(self.hyperparameter).metadata["bounds"]
        return bounds

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if value is None and self.optional:
            return
        if type(value) not in (int, float) or not self._bounds.contains(value):
            raise ValueError(f"{name} must be a number in {self._bounds}, but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return str(self._bounds)


@dataclass(frozen=True)
class Share:
    """A share above 0 and of at most 1.

    Examples
    --------
    >>> Share().describe()
    '(0, 1]'
    """

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise ValueError(f"{name} must be a share in (0, 1], but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return "(0, 1]"


@dataclass(frozen=True)
class Flag:
    """True or false.

    Examples
    --------
    >>> Flag().describe()
    'true, false'
    """

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return "true, false"


@dataclass(frozen=True)
class OneOf:
    """One of some values.

    Examples
    --------
    >>> OneOf((1, 2)).describe()
    '1, 2'
    """

    values: tuple[Any, ...]

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if value in self.values and not isinstance(value, bool):
            return
        if len(self.values) == 2:
            raise ValueError(
                f"{name} must be {self.values[0]} or {self.values[1]}, but got {value!r}"
            )
        raise ValueError(f"{name} must be one of {self.describe()}, but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return ", ".join(map(str, self.values))


@dataclass(frozen=True)
class Constraints:
    """A mapping of resources to shares, or None.

    Examples
    --------
    >>> Constraints().check("constraints", {"flops": 0.5})
    Traceback (most recent call last):
        ...
    ValueError: constraints are on parameters, macs, latency, but got 'flops'
    """

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if not isinstance(value or {}, Mapping):
            raise ValueError(
                f"{name} must be {{resource: share of the founder's}}, but got {value!r}"
            )
        for resource, share in (value or {}).items():
            if resource not in RESOURCES:
                raise ValueError(f"{name} are on {', '.join(RESOURCES)}, but got {resource!r}")
            Share().check(f"constraint on {resource}", share)

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return "{resource: share in (0, 1]}"


@dataclass(frozen=True)
class SearchName:
    """The name of one of NNI's tuners, which only NNI itself can check.

    Examples
    --------
    >>> SearchName().describe()
    "NNI's tuners"
    """

    def check(self, name: str, value: Any) -> None:
        """Do nothing: see `nni_stress.evolution.tuner_arguments.check_arguments`."""

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return "NNI's tuners"


@dataclass(frozen=True)
class Plain:
    """A value of some type, or None.

    Examples
    --------
    >>> Plain(str, "a path").check("folder", 7)
    Traceback (most recent call last):
        ...
    ValueError: folder must be a path, but got 7
    """

    type: type
    words: str

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError, which names the argument, if it does not take this value."""
        if value and not isinstance(value, self.type):
            raise ValueError(f"{name} must be {self.words}, but got {value!r}")

    def describe(self) -> str:
        """The bounds as documentation shows them."""
        return self.words
