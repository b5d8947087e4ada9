"""An evolution in the user's own process: a script, a notebook."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from ..evolution.search_space import check_search_space
from ..evolution.tuner_arguments import TunerArguments, check_arguments
from ..lineage.store import Lineage
from ..trial import in_process
from ..trial.task import Task
from ..utils.logs import VARIABLE, start_logging
from ..utils.yaml_files import read_yaml
from .progress_bar import ProgressBar, expected
from .results import Evolution
from .workers import in_workers


def evolve(
    task: Task,
    folder: str | Path,
    *,
    generations: int = TunerArguments.generations,
    population_size: int = TunerArguments.population_size,
    tolerance: float = TunerArguments.tolerance,
    resource: str = TunerArguments.resource,
    target_efficiency: float | None = TunerArguments.target_efficiency,
    constraints: Mapping[str, float] | None = TunerArguments.constraints,
    space: Mapping[str, Any] | None = None,
    seed: int = TunerArguments.seed,
    founder: str | Path | None = None,
    resume: bool = False,
    workers: int = 1,
    progress: bool = True,
    **arguments: Any,
) -> Evolution:
    """Evolve a network in this process: the same generations and trials as under nnictl.

    The same seed gives the same survivors as an experiment with one trial at a time and as many
    threads. The folder can go on under nnictl (``folder`` of StressTuner), and the other way round.

    Parameters
    ----------
    task
        What is evolved; its network may be defined in a notebook.
    folder
        Folder of the lineage, which must be new or empty unless the evolution resumes.
    generations, population_size, tolerance, resource, target_efficiency, constraints, seed
        As of :class:`nni_stress.StressTuner`.
    space
        NNI's search space over the hyperparameters of an offspring, ``{name: {"_type": ...,
        "_value": [...]}}``. None: that of ``python -m nni_stress init``.
    founder
        A network file: the founder is read from it, or trained and saved there if it does not
        exist. None: it is trained.
    resume
        Whether to go on with an evolution that was interrupted, or add generations to one that has
        ended.
    workers
        Number of offspring that train at a time, each in a process of its own. 1: in this one.
    progress
        Whether to show a progress bar.
    **arguments
        Further arguments of StressTuner, such as ``maturation_epochs`` or ``parents``.

    Returns
    -------
    Evolution
        The lineage: ``.best``, ``.frontier``, ``.network()``, ``.plot()``; a notebook shows its
        page.

    Raises
    ------
    ValueError, TypeError
        If an argument or the search space is wrong, or the task is.
    FileExistsError
        If the folder holds a lineage, and `resume` is false.
    BlockingIOError
        If another evolution is at work on the folder.
    RuntimeError
        If the founder, or all offspring of a generation, were lost; with the reasons.
    KeyboardInterrupt
        If it is interrupted; ``evolve(..., resume=True)`` goes on.

    Examples
    --------
    >>> import tempfile, torch
    >>> from torch import nn
    >>> inputs, targets = torch.rand(64, 4), torch.rand(64, 1)
    >>> task = Task(
    ...     network=lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1)),
    ...     example_input=inputs[:2],
    ...     loader=lambda generator: [(inputs, targets)],
    ...     loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: -float((network(inputs) - targets).abs().mean()),
    ...     founder_epochs=20,
    ...     founder_learning_rate=1e-2,
    ... )
    >>> found = evolve(
    ...     task, tempfile.mkdtemp(), generations=1, population_size=2, tolerance=1,
    ...     progress=False,
    ... )
    >>> found.best.efficiency > 1.5, found.network()(inputs).shape
    (True, torch.Size([64, 1]))
    """
    if type(workers) is not int or workers < 1:
        raise ValueError(f"workers must be a whole number of at least 1, but got {workers!r}")
    if not isinstance(task, Task):
        raise TypeError(f"task must be an nni_stress.Task, but got {type(task).__name__}")
    folder = Path(folder)
    given = {
        "generations": generations,
        "population_size": population_size,
        "tolerance": tolerance,
        "resource": resource,
        "target_efficiency": target_efficiency,
        "constraints": constraints,
        "seed": seed,
        **arguments,
    }
    space = default_space(task) if space is None else space
    check_search_space(space)
    check_arguments(given, space)
    check_folder(folder, resume)
    if VARIABLE in os.environ:
        start_logging("warning")
    lineage = Lineage(folder)
    trials = expected({**vars(TunerArguments()), **given})
    with ProgressBar(lineage, trials, progress) as bar:
        make = (
            in_process.one_by_one(task, founder, [bar])
            if workers == 1
            else in_workers(task, founder, workers, bar.look)
        )
        in_process.evolve(task, folder, space, founder, make, **given)
    return Evolution(folder, task)


def check_folder(folder: Path, resume: bool) -> None:
    """Check that an evolution may begin in a folder, or go on.

    Raises
    ------
    FileExistsError
        If the folder holds a lineage, and `resume` is false.

    Examples
    --------
    >>> check_folder(Path("/no/such/folder"), resume=False)
    """
    if (folder / "state.json").exists() and not resume:
        raise FileExistsError(
            f"{folder} already holds a lineage; name another folder, or go on by resume=True"
        )


def default_space(task: Task) -> dict[str, Any]:
    """The search space that ``init`` writes, without candidates for a task without screening.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> "candidates" in default_space(SimpleNamespace(screening=None))  # in place of a Task
    False
    """
    file = resources.files("nni_stress.cli.templates") / "search_space.yml"
    with resources.as_file(file) as path:
        space = dict(read_yaml(path))
    if task.screening is None:
        space.pop("candidates", None)
    return space
