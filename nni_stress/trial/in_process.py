"""An evolution in this process, one trial after the other, without NNI's manager."""

from __future__ import annotations

from collections.abc import Mapping
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
from ..utils.messages import one_line
from . import offspring
from .errors import InputError
from .placement import placed
from .task import Task


def evolve(
    task: Task,
    folder: str | Path,
    space: Mapping[str, Any],
    founder: str | Path | None = None,
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
    **arguments
        Further arguments of StressTuner.

    Returns
    -------
    Lineage
        The evolution, which has ended.

    Raises
    ------
    ValueError
        If an argument or the search space is wrong.
    RuntimeError
        If the founder, or all offspring of a generation, were lost.
    """
    task = placed(task)
    given = TunerArguments(**arguments)
    check_search_space(space)
    lineage = Lineage(folder)
    rules = given.rules()
    search = Search(given.search, given.search_arguments())
    generations = Generations(lineage, Planner(given, rules, search))
    generations.search_space = space
    with lock_lineage(lineage.folder):
        lineage.update_state(
            population_size=given.population_size,
            seed=given.seed,
            search_space=space,
            incarnation=lineage.last_incarnation() + 1,
            **rules._asdict(),
        )
        coming = generations.next()
        while not isinstance(coming, str):
            number = coming[0].generation
            lineage.update_state(generation=number, finished=None, failed=None)
            for spec in coming:
                if lineage.sound(spec.uid) is None and lineage.failure(spec.uid) is None:
                    _make(task, spec, lineage, founder)
            coming = generations.next([spec.uid for spec in coming])
        lineage.update_state(finished=coming)
    return lineage


def _make(task: Task, spec: TrialSpec, lineage: Lineage, founder: str | Path | None) -> None:
    """Make one offspring; if its training fails it is lost, as in a process of its own."""
    try:
        offspring.make(task, spec, lineage, founder)
    except InputError:
        raise
    except Exception as error:
        lineage.add_failure(spec.uid, one_line(error))
