"""Where hyperparameters come from: any of NNI's own tuners, told everything that was learned so far."""

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

logging.getLogger("nni.tuner").setLevel(
    logging.WARNING
)  # TPE writes a line for every lesson, and there are thousands

# Tuners fail late where today's numpy breaks them, once they have learned from something: so much is tried at the start.
_PROBE = 24


class Lesson(NamedTuple):
    """What one offspring taught: the hyperparameters it had, as a tuner suggests them, and its fitness."""

    suggestion: dict
    fitness: float


class Search:
    """Suggests the hyperparameters of a generation.

    A tuner is made anew for every generation, with a seed of its own and all lessons so far. So the search does not depend
    on what happened to the process before, and a changed search space costs nothing of what was learned. A tuner that
    cannot be told lessons (NNI's Evolution) lives on instead, and starts afresh with the process or the search space.

    Parameters
    ----------
    name
        Name of one of NNI's built-in tuners.
    arguments
        Of that tuner, beside its seed and direction.

    Raises
    ------
    ValueError
        If NNI has no such tuner, or it does not run here.
    """

    def __init__(self, name: str = "TPE", arguments: Mapping[str, Any] | None = None):
        self._name, self._arguments = name, dict(arguments or {})
        self._class = _class_of(name)
        self._told = name.lower() != "evolution"
        self._living: Tuner | None = None
        self._space, self._asked, self._count = None, {}, 0

    def probe(self, space: dict) -> None:
        """Let the tuner suggest and learn for a while; a ValueError says why it does not run here on this space."""
        try:
            tuner, suggestions = self._made(space, 0), []
            for number in range(_PROBE):
                suggestions.append(self._one(tuner, number, space))
                tuner.receive_trial_result(number, suggestions[-1], 0.5 + 0.01 * number)
            if self._told:
                tuner = self._made(
                    space, 0, [Lesson(s, 0.1 * n) for n, s in enumerate(suggestions)]
                )
                self._one(tuner, 0, space)
        except Exception as error:
            raise ValueError(
                f"NNI's tuner {self._name} does not run on this search space: "
                f"{type(error).__name__}: {' '.join(str(error).split())}"
            ) from None
        finally:
            self._living = None

    def suggestions(
        self, space: dict, lessons: Sequence[Lesson], number: int, seed: int
    ) -> list[dict]:
        """Suggest hyperparameters for a generation.

        Parameters
        ----------
        space
            NNI's search space.
        lessons
            What all generations so far taught.
        number
            How many suggestions.
        seed
            The same seed, space and lessons give the same suggestions, with a tuner that can be told lessons.

        Returns
        -------
        list
            As the tuner gives them, nested choices and all.
        """
        if self._told or self._living is None or space != self._space:
            self._living, self._space = (
                self._made(space, seed, lessons if self._told else ()),
                space,
            )
            self._asked = {}
        else:
            self._teach(lessons)
        found = []
        for index in range(number):
            found.append(self._one(self._living, self._count + index, space, seed))
            self._asked[self._count + index] = found[-1]
        self._count += number
        return found

    def _teach(self, lessons: Sequence[Lesson]) -> None:
        """Tell the living tuner what came of its last suggestions."""
        fitness = [(lesson.suggestion, lesson.fitness) for lesson in lessons]
        for number, asked in self._asked.items():
            known = [value for suggestion, value in fitness if suggestion == asked]
            if known:
                self._living.receive_trial_result(number, asked, known[-1])
            else:  # lost, or changed on the way
                self._living.trial_end(number, False)
        self._asked = {}

    def _made(self, space: dict, seed: int, lessons: Sequence[Lesson] = ()) -> Tuner:
        known = inspect.signature(self._class.__init__).parameters
        given = {"optimize_mode": "maximize", "seed": seed % 2**32}
        try:
            tuner = self._class(
                **{
                    **{key: value for key, value in given.items() if key in known},
                    **self._arguments,
                }
            )
        except Exception as error:
            raise ValueError(
                f"NNI's tuner {self._name} refuses its arguments: {' '.join(str(error).split())}"
            ) from None
        random.seed(seed)  # Evolution shuffles by the global generator
        tuner.update_search_space(space)
        if hasattr(tuner, "dedup"):  # offspring of other ancestors may well try the same again
            tuner.dedup = _Again()
        for lesson in lessons:
            try:
                tuner.import_data([{"parameter": lesson.suggestion, "value": lesson.fitness}])
            except (KeyError, ValueError, TypeError, AssertionError, IndexError):
                continue  # what the space no longer holds
            if getattr(tuner, "liar", None) is not None:  # TPE: what it takes trials under way for
                tuner.liar.update(-lesson.fitness)
        return tuner

    def _one(self, tuner: Tuner, name: Any, space: dict, seed: int = 0) -> dict:
        try:
            return _plain(tuner.generate_parameters(name))
        except (
            nni.NoMoreTrialError
        ):  # a grid is done: once more from its start, for the ancestors of now
            self._living = self._made(space, seed)
            return _plain(self._living.generate_parameters(name))


class _Again:
    """Stands in for NNI's deduplicator, and lets everything pass."""

    def __call__(self, parameters):
        return parameters

    def add_history(self, parameters):
        """Nothing."""


def _class_of(name: str) -> type:
    module, found = (
        get_builtin_module_class_name("tuners", name) if isinstance(name, str) else (None, None)
    )
    if found is None:
        raise ValueError(
            f"tuner must be one of NNI's built-in tuners (TPE, Random, GridSearch, ...), but got {name!r}"
        )
    try:
        made = getattr(importlib.import_module(module), found)
    except ImportError as error:
        raise ValueError(f"NNI's tuner {name} cannot be imported: {error}") from None
    if not issubclass(made, Tuner):
        raise ValueError(
            f"tuner must be one of NNI's tuners, but {name} is an advisor, which runs trials by itself"
        )
    return made


def _plain(suggestion: Any) -> Any:
    """The same in Python's own types: numpy's numbers do not go into JSON."""
    if isinstance(suggestion, Mapping):
        return {key: _plain(value) for key, value in suggestion.items()}
    return suggestion.item() if hasattr(suggestion, "item") else suggestion
