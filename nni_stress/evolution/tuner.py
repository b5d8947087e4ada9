"""StressTuner: NNI's tuner interface over the evolution and its generation barrier.

This module imports no torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nni.tuner import Tuner

from ..lineage.locate import check_unused
from ..lineage.store import Lineage
from ..nni_runtime.loopback import refuse_exposed_manager
from ..nni_runtime.manager import experiment_id, experiment_name, refuse, say
from ..utils.atomic_files import refuse_code
from ..utils.messages import one_line
from .barrier import Barrier, guarded
from .generations import Generations
from .planner import Planner
from .search import Search
from .search_space import check_search_space, names_in
from .tuner_arguments import TunerArguments, check_arguments

# Environment variable by which `nnictl resume` takes over the lineage of the experiment it names.
ADOPT = "NNI_STRESS_ADOPT"


class StressTuner(Tuner):  # type: ignore[misc]  # NNI's classes have no types
    """Evolves a network: each trial makes one offspring of the survivors of the last generation.

    The hyperparameters of the offspring come from one of NNI's own tuners over the search space,
    which learns from the fitness of all generations. The experiment ends by itself.

    Parameters
    ----------
    population_size
        Number of offspring of one generation.
    generations
        Maximum number of generations after the founder.
    tolerance
        Loss of validation fidelity against the founder that a survivor may have. In the unit of
        fidelity: for accuracy, 0.01 is a percentage point.
    target_efficiency
        End once a survivor uses this many times less of the resource than the founder, and keeps
        the constraints. No offspring is made smaller than that, except for a constraint; of those
        that reach the target the one with the highest fidelity survives.
    resource
        The resource to save, of which the environmental factor is a share: "parameters", "macs" or
        "latency".
    constraints
        {resource: share of the founder's} that the final network must not exceed. Parameters and
        MACs are made scarce for that; latency is left to selection.
    survivors
        Maximum number of survivors of one generation, among which offspring draw their ancestors.
    parents
        Number of ancestors of an offspring, 1 or 2. With 2 it inherits clusters of both.
    patience
        How many generations in a row may fail, each followed by a gentler environment.
    quorum
        Share of a generation's offspring that must have ended before it may close.
    time_limit
        Seconds that a trial may take; None: any time.
    early_ending
        Skip an offspring's training, or end its recovery early, once it cannot survive: either a
        more efficient faithful offspring of its generation exists already, or no earlier recovery
        gained as much as it lacks. The smallest offspring of a generation train first. The network
        and what it achieved are recorded all the same. With one trial at a time, the same seed
        gives the same lineage; with several, their order decides which of them end early.
    maturation_epochs
        Length of the long training with which the evolution ends, in epochs, so that most of its
        steps are spent at the final size; 0: there is none. It ends early once the validation
        fidelity no longer rises, and its best epoch is kept.
    maturation_learning_rate
        Highest learning rate of that training. None: that of the network's own trial.
    matured
        Maximum number of networks that mature: the best survivor, and those of the frontier that
        are smaller or as small, the highest fidelity first. Each is a trial with a record of its
        own.
    seed
        Seed of the whole evolution; the same seed gives the same survivors.
    search
        Name of NNI's tuner that suggests hyperparameters: TPE, Random, GridSearch, ...
    search_args
        Arguments of that tuner; by default TPE starts to learn after one generation.
    folder
        Folder of the lineage; by default in NNI's folder of the experiment.

    Raises
    ------
    ValueError, TypeError
        If an argument or the search space is wrong. In NNI's own process: one line on stderr, and
        the process ends.

    Examples
    --------
    >>> import tempfile
    >>> tuner = StressTuner(population_size=8, generations=6, folder=tempfile.mkdtemp())
    >>> tuner.rules.generations
    6
    """

    def __init__(
        self,
        population_size: int = TunerArguments.population_size,
        generations: int = TunerArguments.generations,
        tolerance: float = TunerArguments.tolerance,
        target_efficiency: float | None = TunerArguments.target_efficiency,
        resource: str = TunerArguments.resource,
        constraints: Mapping[str, float] | None = TunerArguments.constraints,
        survivors: int = TunerArguments.survivors,
        parents: int = TunerArguments.parents,
        patience: int = TunerArguments.patience,
        quorum: float = TunerArguments.quorum,
        time_limit: float | None = TunerArguments.time_limit,
        early_ending: bool = TunerArguments.early_ending,
        maturation_epochs: float = TunerArguments.maturation_epochs,
        maturation_learning_rate: float | None = TunerArguments.maturation_learning_rate,
        matured: int = TunerArguments.matured,
        seed: int = TunerArguments.seed,
        search: str = TunerArguments.search,
        search_args: Mapping[str, Any] | None = TunerArguments.search_args,
        folder: str | None = TunerArguments.folder,
        **unknown: Any,
    ):
        super().__init__()
        given = {
            "population_size": population_size,
            "generations": generations,
            "tolerance": tolerance,
            "target_efficiency": target_efficiency,
            "resource": resource,
            "constraints": constraints,
            "survivors": survivors,
            "parents": parents,
            "patience": patience,
            "quorum": quorum,
            "time_limit": time_limit,
            "early_ending": early_ending,
            "maturation_epochs": maturation_epochs,
            "maturation_learning_rate": maturation_learning_rate,
            "matured": matured,
            "seed": seed,
            "search": search,
            "search_args": search_args,
            "folder": folder,
        }
        try:
            refuse_exposed_manager()
            check_arguments({**given, **unknown})
            self._begin(TunerArguments(**given))  # type: ignore[arg-type]  # checked before
        except (TypeError, ValueError, OSError) as error:
            refuse(error)

    def _begin(self, arguments: TunerArguments) -> None:
        self.rules = arguments.rules()
        self.lineage = Lineage(_lineage_folder(arguments.folder))
        self._arguments = arguments
        self._search = Search(arguments.search, arguments.search_arguments())
        self._generations = Generations(self.lineage, Planner(arguments, self.rules, self._search))
        self.barrier = Barrier(
            self.lineage, self._generations.next, arguments.quorum, arguments.time_limit
        )

    def _check_space(self, space: Any) -> None:
        refuse_code(space)
        check_search_space(space)
        if self._arguments.parents > 1 and "attention" in names_in(space):
            raise ValueError(
                "parents=2 unites clusters, and attentions must lose whole heads for that, but the "
                "search space names attention"
            )
        self._search.probe(space)

    # NNI's interface

    @guarded
    def update_search_space(self, search_space: Any) -> None:
        """Take a new search space for the coming generations; a wrong one changes nothing."""
        try:
            self._check_space(search_space)
        except (TypeError, ValueError) as error:
            search_space = self._generations.search_space or self.lineage.last_search_space()
            if search_space is None:
                raise
            say(f"the search space stays as it was: {one_line(error)}")
        self._generations.search_space = search_space
        self.lineage.update_state(
            population_size=self._arguments.population_size,
            seed=self._arguments.seed,
            search_space=search_space,
            experiment=experiment_id(),
            name=experiment_name(),
            **self.rules._asdict(),
        )

    @guarded
    def generate_multiple_parameters(
        self, parameter_id_list: list[int], st_callback: Any = None, **kwargs: Any
    ) -> list[Any]:
        """Keep the manager's requests; offspring are sent through `st_callback`."""
        self.barrier.request(parameter_id_list)
        return []

    @guarded
    def trial_end(self, parameter_id: int, success: bool, **kwargs: Any) -> None:
        """Look what became of the offspring: some trial has ended."""
        self.barrier.ended()

    @guarded
    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        """Take a result as a hint that a record will be seen; the record itself is on disk.

        NNI may pair results with the parameters of other trials.
        """
        if isinstance(value, dict):
            self.barrier.reported(value.get("uid"))

    def load_checkpoint(self) -> None:
        """Do nothing: everything is read from the lineage on disk."""

    def import_data(self, data: Any) -> None:
        """Do nothing: on resume NNI pairs results with the parameters of other trials."""


def _lineage_folder(folder: str | None) -> Path:
    """The lineage's folder, which must be new unless its own experiment is resumed.

    An experiment may go on with a lineage that no other owns, as `nni_stress.evolve` leaves it.
    """
    if folder is None:
        return Path(os.environ.get("NNI_CHECKPOINT_DIRECTORY", "."), "lineage")
    if os.environ.get("NNI_MODE") != "resume":
        check_unused(folder)
        return Path(folder)
    owner = (Lineage(folder).read_state() or {}).get("experiment")
    if owner not in (None, experiment_id(), os.environ.get(ADOPT)):
        raise ValueError(
            f"{folder} must hold the lineage of experiment {experiment_id()}, but it is that of "
            f"{owner}; `{ADOPT}={owner} nnictl resume {experiment_id()}` takes it over"
        )
    return Path(folder)
