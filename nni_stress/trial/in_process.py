"""An evolution in this process, without NNI's manager."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..evolution.generations import Generations
from ..evolution.planner import Planner
from ..evolution.search import Search
from ..evolution.search_space import check_search_space
from ..evolution.tuner_arguments import TunerArguments
from ..evolution.tuner_process import lock_lineage
from ..lineage.store import Lineage
from ..lineage.trial_spec import TrialSpec
from ..utils.logs import quieted
from . import offspring
from .errors import InputError
from .own_names import check_own_names
from .placement import placed
from .progress import Observer
from .task import Task

# Makes the offspring that a lineage neither has nor has lost.
Maker = Callable[[Sequence[TrialSpec], Lineage], None]


def evolve(
    task: Task,
    folder: str | Path,
    space: Mapping[str, Any],
    founder: str | Path | None = None,
    make: Maker | None = None,
    **arguments: Any,
) -> Lineage:
    """Evolve a network as StressTuner does with one trial at a time: same seed, same survivors.

    An evolution that was interrupted goes on where it was.

    Parameters
    ----------
    task
        What is evolved.
    folder
        Folder of the lineage.
    space
        NNI's search space.
    founder
        A network file: the founder is read from it, or trained and saved there if it does not
        exist.
    make
        Makes the offspring of a generation; by default one after the other, in this process.
    **arguments
        Further arguments of StressTuner.

    Returns
    -------
    Lineage
        The evolution, which has ended.

    Raises
    ------
    ValueError, TypeError
        If an argument or the search space is wrong.
    BlockingIOError
        If another evolution is at work on the folder.
    RuntimeError
        If the founder, or all offspring of a generation, were lost.
    """
    make = make or one_by_one(task, founder)
    given = TunerArguments(**arguments)
    check_search_space(space)
    check_own_names(space)
    lineage = Lineage(folder)
    rules = given.rules()
    search = Search(given.search, given.search_arguments())
    generations = Generations(lineage, Planner(given, rules, search))
    generations.search_space = space
    # NNI takes this process for a trial without an experiment, and would print its results.
    with lock_lineage(lineage.folder, wait=False), quieted("nni", logging.WARNING):
        lineage.remove_leftovers()
        lineage.update_state(
            population_size=given.population_size,
            seed=given.seed,
            search_space=space,
            experiment=None,
            incarnation=lineage.last_incarnation() + 1,
            **rules._asdict(),
        )
        coming = generations.next()
        while not isinstance(coming, str):
            number = coming[0].generation
            lineage.update_state(generation=number, finished=None, failed=None)
            make([spec for spec in coming if is_missing(lineage, spec.uid)], lineage)
            coming = generations.next([spec.uid for spec in coming])
        lineage.update_state(finished=coming)
    return lineage


def is_missing(lineage: Lineage, uid: str) -> bool:
    """Whether a lineage neither has an offspring nor has lost it.

    Examples
    --------
    >>> is_missing(Lineage("/nonexistent"), "g001-00")
    True
    """
    return lineage.sound(uid) is None and lineage.failure(uid) is None


def one_by_one(task: Task, founder: str | Path | None, observers: Sequence[Observer] = ()) -> Maker:
    """A maker that makes one offspring after the other in this process.

    Parameters
    ----------
    task
        What is evolved.
    founder
        The founder's file, or None.
    observers
        Each is told of every training step.

    Raises
    ------
    InputError
        If the task's device is not there.
    """
    there = placed(task)

    def make(specs: Sequence[TrialSpec], lineage: Lineage) -> None:
        for spec in specs:
            attempt(there, spec, lineage, founder, observers)

    return make


def attempt(
    task: Task,
    spec: TrialSpec,
    lineage: Lineage,
    founder: str | Path | None,
    observers: Sequence[Observer] = (),
) -> None:
    """Make one offspring; if its training fails it is lost, as in a process of its own.

    Parameters
    ----------
    task, spec, lineage, founder, observers
        As of :func:`nni_stress.trial.offspring.make`.

    Raises
    ------
    InputError
        If something is wrong that every offspring needs.
    """
    try:
        offspring.make(task, spec, lineage, founder, observers, since=time.time())
    except InputError:
        raise
    except Exception as error:
        offspring.note_loss(lineage, spec.uid, error)
