"""StressTuner's arguments: default, bounds and meaning, each declared once.

An experiment file's ``classArgs`` are checked by this module before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..hparams import ArgumentRow
from ..resources import RESOURCES
from .argument_kinds import (
    As,
    Constraints,
    Flag,
    Kind,
    Number,
    OneOf,
    Plain,
    SearchName,
    Share,
    WholeNumber,
)
from .rules import Rules


def _argument(default: Any, kind: Kind, meaning: str) -> Any:
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


@dataclass(frozen=True)
class TunerArguments:
    """The arguments of a StressTuner.

    Raises
    ------
    ValueError
        Naming the first argument that is wrong, what was got and what was expected.

    Examples
    --------
    >>> TunerArguments(generations=6).rules().generations
    6
    >>> TunerArguments(parents=2)
    Traceback (most recent call last):
        ...
    ValueError: parents=2 needs at least 2 survivors, but got 1
    """

    population_size: int = _argument(4, WholeNumber(1), "number of offspring of one generation")
    generations: int = _argument(
        4, WholeNumber(1), "maximum number of generations after the founder"
    )
    tolerance: float = _argument(
        0.01,
        Number(0),
        "loss of validation fidelity against the founder that a survivor may have",
    )
    target_efficiency: float | None = _argument(
        None,
        Number(1, optional=True),
        "end once a survivor uses this many times less of the resource than the founder; no "
        "offspring is made smaller than that, and of those that reach it the one with the highest "
        "fidelity survives",
    )
    resource: str = _argument(
        "parameters",
        OneOf(tuple(RESOURCES)),
        "the resource to save, of which the environmental factor is a share",
    )
    constraints: Mapping[str, float] | None = _argument(
        None,
        Constraints(),
        "{resource: share of the founder's} that the final network must not exceed; constraints "
        "come before efficiency",
    )
    survivors: int = _argument(
        1,
        WholeNumber(1),
        "maximum number of survivors of one generation, among which offspring draw their ancestors",
    )
    parents: int = _argument(
        1,
        OneOf((1, 2)),
        "number of ancestors of an offspring, which inherits clusters of both if there are 2",
    )
    patience: int = _argument(
        2,
        WholeNumber(0),
        "how many generations in a row may fail, each followed by a gentler environment",
    )
    quorum: float = _argument(
        1.0,
        Share(),
        "share of a generation's offspring that must have ended before it may close; later ones "
        "are recorded, and do not count",
    )
    time_limit: float | None = _argument(
        None, Number(1, optional=True), "seconds that a trial may take; by default any time"
    )
    early_ending: bool = _argument(
        False, Flag(), "skip, or end early, the training of an offspring that cannot survive"
    )
    maturation_epochs: float = _argument(
        0.0,
        As("recovery_epochs"),
        "length of the long training with which an evolution ends, in epochs; 0: there is none",
    )
    maturation_learning_rate: float | None = _argument(
        None,
        As("learning_rate", optional=True),
        "highest learning rate of that training; by default the one of the network's own trial",
    )
    matured: int = _argument(
        1,
        WholeNumber(1),
        "maximum number of networks that mature: the best survivor, and those of the frontier "
        "beyond it",
    )
    seed: int = _argument(0, WholeNumber(0), "seed of the whole evolution")
    search: str = _argument(
        "TPE", SearchName(), "name of NNI's tuner that suggests hyperparameters"
    )
    search_args: Mapping[str, Any] | None = _argument(
        None, Plain(Mapping, "a mapping"), "arguments of that tuner"
    )
    folder: str | None = _argument(
        None,
        Plain(str, "a path"),
        "folder of the lineage; by default in NNI's folder of the experiment",
    )

    def __post_init__(self) -> None:
        check_values({spec.name: getattr(self, spec.name) for spec in fields(self)})

    def rules(self) -> Rules:
        """The rules of the evolution."""
        return Rules(
            self.generations,
            self.tolerance,
            self.target_efficiency,
            self.patience,
            self.survivors,
            self.resource,
            dict(self.constraints or {}),
        )

    def search_arguments(self) -> dict[str, Any]:
        """The arguments of NNI's tuner; by default TPE starts to learn after one generation."""
        given = dict(self.search_args or {})
        if self.search.lower() != "tpe":
            return given
        startup = max(2, self.population_size)  # TPE cannot learn from a single observation
        return {**given, "tpe_args": {"n_startup_jobs": startup, **given.get("tpe_args", {})}}


_FIELDS = {spec.name: spec for spec in fields(TunerArguments)}


def check_arguments(arguments: Mapping[str, Any], space: Mapping[str, Any] | None = None) -> None:
    """Check StressTuner's arguments, and that the search they name runs on a search space.

    Parameters
    ----------
    arguments
        Arguments by name; the others keep their defaults.
    space
        NNI's search space. None: any will do.

    Raises
    ------
    ValueError, TypeError
        Naming the first argument that is unknown or wrong, what was got and what was expected.

    Examples
    --------
    >>> check_arguments({"populaton_size": 3})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    TypeError: unknown argument 'populaton_size' of StressTuner; known are population_size, ...
    """
    from . import search

    for name in arguments:
        if name not in _FIELDS:
            raise TypeError(
                f"unknown argument {name!r} of StressTuner; known are {', '.join(_FIELDS)}"
            )
    check_values(arguments)
    made = search.Search(arguments.get("search", "TPE"), arguments.get("search_args"))
    made.probe(space or {"temperature": {"_type": "uniform", "_value": [0, 1]}})


def check_values(arguments: Mapping[str, Any]) -> None:
    """Check some of StressTuner's arguments by themselves, without NNI.

    Raises
    ------
    ValueError
        Naming the first argument that is wrong, what was got and what was expected.

    Examples
    --------
    >>> check_values({"quorum": 0})
    Traceback (most recent call last):
        ...
    ValueError: quorum must be a share in (0, 1], but got 0
    """
    for name in filter(_FIELDS.__contains__, arguments):
        kind: Kind = _FIELDS[name].metadata["kind"]
        kind.check(name, arguments[name])
    survivors = arguments.get("survivors", TunerArguments.survivors)
    if arguments.get("parents", TunerArguments.parents) == 2 and survivors < 2:
        raise ValueError(f"parents=2 needs at least 2 survivors, but got {survivors}")


def argument_rows() -> Iterator[ArgumentRow]:
    """Rows of the documentation table of StressTuner's arguments, in the order of its signature.

    Examples
    --------
    >>> next(argument_rows())[:3]
    ('population_size', '4', 'at least 1, whole')
    """
    for spec in fields(TunerArguments):
        default = "none" if spec.default is None else str(spec.default)
        yield ArgumentRow(
            spec.name,
            default.lower() if isinstance(spec.default, bool) else default,
            spec.metadata["kind"].describe(),
            spec.metadata["meaning"],
        )
