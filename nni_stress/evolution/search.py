"""Suggests hyperparameters by any of NNI's own tuners, from all observations so far."""

from __future__ import annotations

import importlib
import inspect
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import nni
from nni.tools.package_utils.tuner_factory import get_builtin_module_class_name
from nni.tuner import Tuner

from ..utils.messages import one_line

# TPE logs a line for each observation, of which there are thousands.
logging.getLogger("nni.tuner").setLevel(logging.WARNING)

# Some tuners fail on today's numpy only once they learn from observations. Therefore a probe makes
# this many.
_PROBE = 24


class Observation(NamedTuple):
    """What the search learns from one offspring.

    Parameters
    ----------
    suggestion
        Its hyperparameters, as a tuner suggested them.
    fitness
        Its fitness; higher is better.

    Examples
    --------
    >>> Observation({"temperature": 0.1}, 0.7).fitness
    0.7
    """

    suggestion: dict[str, Any]
    fitness: float


class Search:
    """Suggests the hyperparameters of a generation.

    For each generation a new tuner is made, with its own seed and all observations so far. The
    suggestions therefore do not depend on earlier interruptions of the process, and no observation
    is lost when the search space changes. NNI's Evolution, which cannot take observations of
    others, is an exception: it lives as long as the process and the search space.

    Parameters
    ----------
    name
        Name of one of NNI's built-in tuners.
    arguments
        Arguments of that tuner, besides its seed and direction.

    Raises
    ------
    ValueError
        If NNI has no such tuner, or it cannot be imported.

    Examples
    --------
    >>> space = {"floor": {"_type": "choice", "_value": [3]}}
    >>> Search("Random").suggestions(space, [], number=2, seed=0)
    [{'floor': 3}, {'floor': 3}]
    """

    def __init__(self, name: str = "TPE", arguments: Mapping[str, Any] | None = None):
        self._name = name
        self._arguments = dict(arguments or {})
        self._class = _class_of(name)
        self._takes_observations = name.lower() != "evolution"
        self._tuner: Tuner | None = None
        self._space: Mapping[str, Any] | None = None
        self._pending: dict[int, dict[str, Any]] = {}  # suggestions without an observation
        self._count = 0

    def probe(self, space: Mapping[str, Any]) -> None:
        """Let the tuner suggest and learn for a while.

        Raises
        ------
        ValueError
            If the tuner does not run on this space; the message says why.
        """
        try:
            tuner = self._make(space, 0)
            suggestions = []
            for number in range(_PROBE):
                suggestions.append(self._suggest(tuner, number, space))
                tuner.receive_trial_result(number, suggestions[-1], 0.5 + 0.01 * number)
            if self._takes_observations:
                observations = [
                    Observation(suggestion, 0.1 * number)
                    for number, suggestion in enumerate(suggestions)
                ]
                self._suggest(self._make(space, 0, observations), 0, space)
        except Exception as error:
            raise ValueError(
                f"NNI's tuner {self._name} does not run on this search space: {one_line(error)}"
            ) from None
        finally:
            self._tuner = None

    def suggestions(
        self, space: Mapping[str, Any], observations: Sequence[Observation], number: int, seed: int
    ) -> list[dict[str, Any]]:
        """Suggest hyperparameters for a generation.

        Parameters
        ----------
        space
            NNI's search space.
        observations
            Of all generations so far.
        number
            Number of suggestions.
        seed
            Seed of the tuner. The same seed, space and observations give the same suggestions,
            except for NNI's Evolution.

        Returns
        -------
        list
            As the tuner makes them, with nested choices.
        """
        if self._takes_observations or self._tuner is None or space != self._space:
            known = observations if self._takes_observations else ()
            self._tuner = self._make(space, seed, known)
            self._space = space
        else:
            self._tell(self._tuner, observations)
        self._pending = {}
        for index in range(self._count, self._count + number):
            self._pending[index] = self._suggest(self._tuner, index, space, seed)
        self._count += number
        return list(self._pending.values())

    def _tell(self, tuner: Tuner, observations: Sequence[Observation]) -> None:
        """Tell a tuner that lives on what was observed of its last suggestions."""
        for number, suggestion in self._pending.items():
            known = [
                observation.fitness
                for observation in observations
                if observation.suggestion == suggestion
            ]
            if known:
                tuner.receive_trial_result(number, suggestion, known[-1])
            else:  # the offspring was lost, or its environmental factor was changed
                tuner.trial_end(number, False)

    def _make(
        self, space: Mapping[str, Any], seed: int, observations: Sequence[Observation] = ()
    ) -> Tuner:
        accepted = inspect.signature(self._class).parameters
        given = {"optimize_mode": "maximize", "seed": seed % 2**32}
        arguments = {name: value for name, value in given.items() if name in accepted}
        try:
            tuner = self._class(**{**arguments, **self._arguments})
        except Exception as error:
            raise ValueError(
                f"NNI's tuner {self._name} refuses its arguments: {one_line(error)}"
            ) from None
        random.seed(seed)  # NNI's Evolution shuffles by the global generator
        tuner.update_search_space(space)
        if hasattr(tuner, "dedup"):  # the same suggestion is worth a trial with another ancestor
            tuner.dedup = _KeepDuplicates()
        for observation in observations:
            _import_observation(tuner, observation)
        return tuner

    def _suggest(
        self, tuner: Tuner, number: int, space: Mapping[str, Any], seed: int = 0
    ) -> dict[str, Any]:
        try:
            suggestion = tuner.generate_parameters(number)
        except nni.NoMoreTrialError:  # a grid is exhausted, and starts again for new ancestors
            self._tuner = self._make(space, seed)
            suggestion = self._tuner.generate_parameters(number)
        return dict(_plain(suggestion))


class _KeepDuplicates:
    """Replaces NNI's deduplicator, and lets every suggestion pass."""

    def __call__(self, parameters: Any) -> Any:
        return parameters

    def add_history(self, parameters: Any) -> None:
        """Do nothing."""


def _import_observation(tuner: Tuner, observation: Observation) -> None:
    try:
        tuner.import_data([{"parameter": observation.suggestion, "value": observation.fitness}])
    except (KeyError, ValueError, TypeError, AssertionError, IndexError):
        return  # the space no longer holds this suggestion
    if getattr(tuner, "liar", None) is not None:  # TPE: the fitness it assumes of running trials
        tuner.liar.update(-observation.fitness)


def _class_of(name: Any) -> Any:
    """The class of one of NNI's built-in tuners."""
    known = isinstance(name, str)
    module, found = get_builtin_module_class_name("tuners", name) if known else (None, None)
    if module is None or found is None:
        raise ValueError(
            "tuner must be one of NNI's built-in tuners (TPE, Random, GridSearch, ...), "
            f"but got {name!r}"
        )
    try:
        made = getattr(importlib.import_module(module), found)
    except ImportError as error:
        raise ValueError(f"NNI's tuner {name} cannot be imported: {one_line(error)}") from None
    if not issubclass(made, Tuner):
        raise ValueError(
            f"tuner must be one of NNI's tuners, but {name} is an advisor, "
            "which runs trials by itself"
        )
    return made


def _plain(suggestion: Any) -> Any:
    """The same suggestion in Python's own types: JSON does not take numpy's numbers."""
    if isinstance(suggestion, Mapping):
        return {key: _plain(value) for key, value in suggestion.items()}
    return suggestion.item() if hasattr(suggestion, "item") else suggestion
