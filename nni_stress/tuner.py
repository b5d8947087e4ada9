"""StressTuner: NNI's tuner interface over evolution and the generation barrier. Imports no torch."""
from __future__ import annotations

import inspect
import math
import os
from pathlib import Path
from typing import Any

import nni
from nni.algorithms.hpo.tpe_tuner import TpeArguments, TpeTuner
from nni.tuner import Tuner

from . import evolution
from .arguments import Arguments, check_search_space
from .barrier import Barrier, experiment_search_space, guarded, refuse, refuse_code
from .lineage import FOUNDER, Lineage, Record, uid_of


class StressTuner(Tuner):
    """Evolves a network: each trial is one offspring, each generation descends from the fittest of the last.

    The hyperparameters of the offspring come from NNI's TPE over the search space; it learns from the fitness of all
    generations. The experiment ends by itself.

    Parameters
    ----------
    population_size
        Offspring of one generation.
    generations
        Most generations after the founder.
    tolerance
        Loss of validation fidelity against the founder that a survivor may have (accuracy: a share, 0.01 is a point).
    target_efficiency
        End once a survivor has this many times fewer synapses than the founder.
    patience
        How often in a row to go back to the last good ancestor with a gentler environment.
    seed
        Seed of the whole evolution; the same seed gives the same survivors.
    tpe_args
        Arguments of NNI's TPE itself; by default it starts to learn after one generation.
    folder
        Where the lineage is recorded; by default in NNI's folder of the experiment.

    Raises
    ------
    ValueError, TypeError
        If an argument or the search space is wrong. In NNI's own process: one line on stderr, and the process ends.
    """

    def __init__(self, population_size: int = 4, generations: int = 4, tolerance: float = 0.01,
                 target_efficiency: float | None = None, patience: int = 2, seed: int = 0,
                 tpe_args: dict[str, Any] | None = None, folder: str | None = None, **unknown):
        super().__init__()
        try:
            check_arguments(dict(population_size=population_size, generations=generations, tolerance=tolerance,
                                 target_efficiency=target_efficiency, patience=patience, seed=seed,
                                 tpe_args=tpe_args, folder=folder, **unknown))
            space = experiment_search_space()
            if space is not None:
                _check_space(space)
            self._lineage = Lineage(_check_folder(folder))
            self._search = TpeTuner("maximize", seed, {"n_startup_jobs": population_size, **(tpe_args or {})})
        except (TypeError, ValueError) as error:
            refuse(error)
        self._population_size, self._seed = population_size, seed
        self._rules = evolution.Rules(generations, tolerance, target_efficiency, patience)
        self._generations: list[list[Record]] = []
        self._offspring: list[dict] | None = None  # of the generation under way
        self.barrier = Barrier(self._lineage, self._next_generation)

    # Evolution

    def _next_generation(self) -> list[dict] | str:
        """Parameters of the coming generation's offspring, or why there is none. Called when the last one has ended.

        All that went before is replayed from the lineage on disk, so that a resumed experiment goes on where it was.
        """
        while True:
            if self._offspring is None:
                number = len(self._generations)
                if number == 0:
                    self._offspring = [self._parameters(FOUNDER, 0, None, {})]
                else:
                    plan = evolution.plan(self._generations, self._rules)
                    if plan.end is not None:
                        return plan.end
                    self._offspring = self._suggest(number, plan)
            uids = [offspring["uid"] for offspring in self._offspring]
            if not all(self._lineage.record(uid) or self._lineage.failure(uid) for uid in uids):
                return self._offspring
            self._learn([self._lineage.record(uid) for uid in uids])
            self._offspring = None

    def _suggest(self, generation: int, plan: evolution.Plan) -> list[dict]:
        offspring = []
        for slot in range(self._population_size):
            suggestion = self._suggestion(generation * self._population_size + slot)
            arguments = Arguments.from_mapping(suggestion)
            factor = evolution.gentler(arguments.environmental_factor, plan.gentleness)
            offspring.append(self._parameters(uid_of(generation, slot), generation, plan.ancestor,
                                              {**suggestion, "environmental_factor": factor}))
        return offspring

    def _suggestion(self, parameter_id: int) -> dict:
        try:
            return self._search.generate_parameters(parameter_id)
        except nni.NoMoreTrialError:  # every point of a finite space was tried once; offspring may try one again
            self._search.dedup = lambda parameters: parameters
            return self._search.generate_parameters(parameter_id)

    def _learn(self, records: list[Record | None]) -> None:
        generation = len(self._generations)
        found = [record for record in records if record is not None]
        if not found and generation == 0:
            raise RuntimeError(f"the founder was lost: {self._lineage.failure(FOUNDER)['reason']}")
        if not found:
            reasons = {self._lineage.failure(o["uid"])["reason"] for o in self._offspring}
            raise RuntimeError(f"generation {generation} lost all its offspring: {'; '.join(sorted(reasons))}")
        for slot, record in enumerate(records if generation else []):
            parameter_id = generation * self._population_size + slot
            if record is None or not math.isfinite(record.validation):
                self._search.trial_end(parameter_id, False)
            else:
                ancestor = self._lineage.record(record.ancestor)
                fitness = evolution.fitness(record, ancestor, self._rules.tolerance)
                self._search.receive_trial_result(parameter_id, None, fitness)
        self._generations.append(found)

    def _parameters(self, uid: str, generation: int, ancestor: str | None, arguments: dict) -> dict:
        return dict(uid=uid, generation=generation, ancestor=ancestor, seed=self._seed, arguments=arguments)

    # NNI's interface

    @guarded
    def update_search_space(self, search_space):
        _check_space(search_space)
        self._search.update_search_space(search_space)
        state = self._lineage.read_state() or {}
        self._lineage.write_state({**state, "population_size": self._population_size, "seed": self._seed,
                                   **self._rules._asdict(), "search_space": search_space})

    @guarded
    def generate_multiple_parameters(self, parameter_id_list, st_callback=None, **kwargs):
        self.barrier.request(parameter_id_list)
        return []

    @guarded
    def trial_end(self, parameter_id, success, **kwargs):
        self.barrier.ended(parameter_id)

    def receive_trial_result(self, parameter_id, parameters, value, **kwargs):
        """Nothing: NNI may pair results with other trials' parameters. The lineage on disk is the truth."""

    def load_checkpoint(self):
        """Nothing: the barrier and the search are replayed from the lineage on disk."""

    def import_data(self, data):
        """Nothing: NNI pairs results with other trials' parameters on resume."""


def check_arguments(arguments: dict) -> None:
    """Check StressTuner's arguments (an experiment file's classArgs).

    Raises
    ------
    ValueError, TypeError
        Naming the first argument that is unknown or wrong, what it is and what it should be.
    """
    known = [name for name in inspect.signature(StressTuner.__init__).parameters if name not in ("self", "unknown")]
    for name, value in arguments.items():
        if name not in known:
            raise TypeError(f"unknown argument {name!r} of StressTuner; known are {', '.join(known)}")
        if name in _LEAST_WHOLE and (type(value) is not int or value < _LEAST_WHOLE[name]):
            raise ValueError(f"{name} must be a whole number of at least {_LEAST_WHOLE[name]}, but got {value!r}")
        if name in _LEAST_NUMBER and value is not None:
            if type(value) not in (int, float) or not math.isfinite(value) or value < _LEAST_NUMBER[name]:
                raise ValueError(f"{name} must be a number of at least {_LEAST_NUMBER[name]}, but got {value!r}")
    if arguments.get("tolerance", 0) is None:
        raise ValueError("tolerance must be a number of at least 0, but got None")
    if not isinstance(arguments.get("tpe_args") or {}, dict):
        raise ValueError(f"tpe_args must be a mapping, but got {arguments['tpe_args']!r}")
    for name in arguments.get("tpe_args") or {}:
        if name not in TpeArguments._fields:
            raise ValueError(f"unknown argument {name!r} in tpe_args; known are {', '.join(TpeArguments._fields)}")
    if not isinstance(arguments.get("folder") or "", str):
        raise ValueError(f"folder must be a path, but got {arguments['folder']!r}")


_LEAST_WHOLE = {"population_size": 1, "generations": 1, "patience": 0, "seed": 0}
_LEAST_NUMBER = {"tolerance": 0, "target_efficiency": 1}


def _check_space(space):
    refuse_code(space)
    check_search_space(space)


def _check_folder(folder):
    if folder is None:
        return Path(os.environ.get("NNI_CHECKPOINT_DIRECTORY", "."), "lineage")
    if (Path(folder) / "state.json").exists() and os.environ.get("NNI_MODE") != "resume":
        raise ValueError(f"{folder} already holds a lineage; name another folder, or go on by `nnictl resume`")
    return Path(folder)
