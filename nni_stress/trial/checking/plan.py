"""The evolution for which a task is checked, and hyperparameters that are typical of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from ...evolution.search import Search
from ...evolution.search_space import check_search_space, flat
from ...evolution.tuner_arguments import TunerArguments, check_arguments
from ...hparams import Arguments
from ...lineage.locate import check_unused

_DRAWS = 200  # of a search space


@dataclass(frozen=True)
class Plan:
    """An evolution that is to come.

    Parameters
    ----------
    arguments
        Those of StressTuner.
    drawn
        Hyperparameters of offspring, drawn at random from the search space.
    concurrency
        Number of trials at a time.
    source
        Where it is described.

    Examples
    --------
    >>> space = {"recovery_epochs": {"_type": "choice", "_value": [2, 6]}}
    >>> plan = Plan.of({"generations": 3}, space)
    >>> plan.arguments.generations, 3.5 < plan.mean("recovery_epochs") < 4.5
    (3, True)
    """

    arguments: TunerArguments = field(default_factory=TunerArguments)
    drawn: Sequence[Arguments] = (Arguments(),)
    concurrency: int = 1
    source: str = "defaults"

    @classmethod
    def of(
        cls,
        arguments: Mapping[str, Any],
        space: Mapping[str, Any] | None = None,
        concurrency: int = 1,
        source: str = "arguments",
    ) -> Plan:
        """The evolution that StressTuner's arguments and a search space describe.

        Parameters
        ----------
        arguments
            Arguments of StressTuner by name.
        space
            NNI's search space; None: all hyperparameters have their defaults.
        concurrency
            Number of trials at a time.
        source
            Where all this is from.

        Raises
        ------
        ValueError, TypeError
            If an argument or the space is wrong, or the folder holds a lineage already.
        """
        if space is not None:
            check_search_space(space)
        check_arguments(arguments, space)
        given = TunerArguments(**arguments)
        if given.folder is not None:
            check_unused(given.folder)
        return cls(given, _draw(space) if space else (Arguments(),), concurrency, source)

    def mean(self, name: str) -> float:
        """Mean of a hyperparameter that is a number."""
        return fmean(getattr(arguments, name) for arguments in self.drawn)

    @property
    def typical(self) -> Arguments:
        """Hyperparameters of an offspring in the middle of the search space."""
        names = ("environmental_factor", "stress_epochs", "recovery_epochs", "learning_rate")
        means: dict[str, Any] = {name: self.mean(name) for name in names}
        return replace(self.drawn[0], **means)

    @property
    def strongest(self) -> Arguments:
        """Hyperparameters with the least environmental factor that was drawn."""
        return min(self.drawn, key=lambda arguments: arguments.environmental_factor)

    @property
    def resource(self) -> str:
        """The resource to save; where that is latency, MACs stand in, as measuring takes long."""
        named = self.arguments.resource
        return "macs" if named == "latency" else named


def _draw(space: Mapping[str, Any]) -> list[Arguments]:
    suggestions = Search("Random").suggestions(space, [], _DRAWS, seed=0)
    return [Arguments.from_mapping(flat(suggestion)) for suggestion in suggestions]
