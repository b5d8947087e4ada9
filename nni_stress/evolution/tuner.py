"""StressTuner: NNI's tuner interface over evolution and the generation barrier. Imports no torch."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nni.tuner import Tuner

from ..hparams import Arguments
from ..lineage.store import FOUNDER, Lineage, Record, uid_of
from ..nni_runtime.loopback import refuse_exposed_manager
from ..nni_runtime.manager import refuse, say
from ..utils.atomic_files import refuse_code
from ..utils.seeding import seed_of
from . import early_stopping, selection, tuner_arguments
from .barrier import Barrier, guarded
from .search import Lesson, Search
from .search_space import check_search_space, flat

# So many of the latest lessons the search is told: the time and memory of a suggestion grow with them.
MOST_LESSONS = 2000


class StressTuner(Tuner):
    """Evolves a network: each trial is one offspring, each generation descends from the fittest of the last.

    The hyperparameters of the offspring come from one of NNI's own tuners over the search space; it learns from the
    fitness of all generations. The experiment ends by itself.

    Parameters
    ----------
    population_size
        Offspring of one generation.
    generations
        Most generations after the founder.
    tolerance
        Loss of validation fidelity against the founder that a survivor may have (accuracy: a share, 0.01 is a point).
    target_efficiency
        End once a survivor uses so many times less of the resource than the founder, and keeps the constraints. No
        offspring is made smaller than that, save for a constraint; of those that reach it the one of highest fidelity
        survives.
    resource
        What is saved, and what the environmental factor is a share of: "parameters", "macs" or "latency".
    constraints
        {resource: share of the founder's} that the final network must keep to, several at once. Parameters and MACs are
        made scarce for it; latency is left to selection.
    survivors
        Most survivors of one generation; each offspring draws its ancestor among them.
    parents
        1, or 2: an offspring inherits the clusters of two survivors.
    patience
        How often in a row to go back to the last good ancestors with a gentler environment.
    quorum
        A generation may close when this share of its offspring has ended.
    time_limit
        Seconds that a trial may take; None: any time.
    early_ending
        Spare an offspring's training, or end its recovery, once it cannot survive: because a more efficient one of its generation
        has, or because nothing that recovered before from so far below came back. Of a generation, the smallest train first. The
        network and what it achieved are recorded all the same. Where trials run side by side, which of them end early depends on
        which is first, and so does what the search learns; one at a time, the same seed gives the same lineage.
    seed
        Seed of the whole evolution; the same seed gives the same survivors.
    search
        Name of NNI's tuner that searches: TPE, Random, GridSearch, ...
    search_args
        Its arguments; by default TPE starts to learn after one generation.
    folder
        Where the lineage is recorded; by default in NNI's folder of the experiment.

    Raises
    ------
    ValueError, TypeError
        If an argument or the search space is wrong. In NNI's own process: one line on stderr, and the process ends.
    """

    def __init__(
        self,
        population_size: int = 4,
        generations: int = 4,
        tolerance: float = 0.01,
        target_efficiency: float | None = None,
        resource: str = "parameters",
        constraints: Mapping[str, float] | None = None,
        survivors: int = 1,
        parents: int = 1,
        patience: int = 2,
        quorum: float = 1.0,
        time_limit: float | None = None,
        early_ending: bool = False,
        seed: int = 0,
        search: str = "TPE",
        search_args: dict[str, Any] | None = None,
        folder: str | None = None,
        **unknown,
    ):
        super().__init__()
        try:
            refuse_exposed_manager()
            tuner_arguments.check_arguments(
                dict(
                    population_size=population_size,
                    generations=generations,
                    tolerance=tolerance,
                    target_efficiency=target_efficiency,
                    resource=resource,
                    constraints=constraints,
                    survivors=survivors,
                    parents=parents,
                    patience=patience,
                    quorum=quorum,
                    time_limit=time_limit,
                    early_ending=early_ending,
                    seed=seed,
                    search=search,
                    search_args=search_args,
                    folder=folder,
                    **unknown,
                )
            )
            if search.lower() == "tpe":  # of a single lesson it cannot make a suggestion
                search_args = {
                    **(search_args or {}),
                    "tpe_args": {
                        "n_startup_jobs": max(2, population_size),
                        **(search_args or {}).get("tpe_args", {}),
                    },
                }
            self._search, self._space = Search(search, search_args), None
            self._lineage = Lineage(_check_folder(folder))
            self._generations: list[list[Record]] = []
            self._lessons = deque(
                maxlen=MOST_LESSONS
            )  # (suggestion as JSON, the most compact, fitness)
            self._seen: set[int] = set()  # generations that this process has had under way
            self._population_size, self._parents, self._seed = population_size, parents, seed
            self._early_ending = early_ending
            self._rules = selection.Rules(
                generations,
                tolerance,
                target_efficiency,
                patience,
                survivors,
                resource,
                dict(constraints or {}),
            )
            self.barrier = Barrier(self._lineage, self._next_generation, quorum, time_limit)
        except (TypeError, ValueError, OSError) as error:
            refuse(error)

    # Evolution

    def _next_generation(self, ended: list[str] | None = None) -> list[dict] | str:
        """Parameters of the coming generation's offspring, or why there is none.

        All that went before is read from the lineage on disk, so that a resumed experiment goes on where it was; what
        turns out to be damaged there is set aside, and made again. `ended` are those of the generation under way that
        have ended, and count; None at the start.
        """
        while True:
            number = len(self._generations)
            found = self._lineage.generation(number) or self._begin(number)
            if isinstance(found, str):
                return found
            counts = found["closed"] if found["closed"] is not None else ended
            counted = {
                p["uid"]: p for p in found["offspring"] if counts is None or p["uid"] in counts
            }
            if (
                found["closed"] is None
                and ended is None
                and not self._ancestors_are_sound(counted.values())
            ):
                self._generations, self._lessons = (
                    [],
                    deque(maxlen=MOST_LESSONS),
                )  # what is missing now is made again first
                continue
            once = found.get("kept", [])  # those that had a record when the generation closed
            self._pardon(
                number, counted if found["closed"] is None else once, found["closed"] is not None
            )
            records = {uid: self._lineage.sound(uid) for uid in counted}
            if any(
                record is None and not self._lineage.failure(uid) for uid, record in records.items()
            ):
                return self._in_order(list(counted.values()))
            for uid in once:
                if records[uid] is None:
                    raise RuntimeError(
                        f"{uid} was lost after it was recorded, and when it was made again: "
                        f"{self._lineage.failure(uid)['reason']}"
                    )
            self._learn(found, records)
            if found["closed"] is None:
                kept = [uid for uid, record in records.items() if record is not None]
                self._lineage.write_generation(
                    number, {**found, "closed": list(counted), "kept": kept}
                )
            ended = None

    def _in_order(self, offspring: list[dict]) -> list[dict]:
        if not self._early_ending or not self._generations:
            return offspring
        return early_stopping.smallest_first(offspring, self._known(), self._rules)

    def _known(self) -> dict[str, Record]:
        return {record.uid: record for generation in self._generations for record in generation}

    def _ancestors_are_sound(self, offspring) -> bool:
        uids = {
            uid
            for parameters in offspring
            for uid in (parameters["ancestor"], parameters["other"])
            if uid is not None
        }
        return all(self._lineage.sound(uid, with_network=True) for uid in uids)

    def _pardon(self, number: int, uids, any_reason: bool) -> None:
        """After a resume, what was lost for a reason that held for all, or with its whole generation, may try again."""
        if number in self._seen:
            return
        self._seen.add(number)
        failures = {uid: self._lineage.failure(uid) for uid in uids}
        for uid, failure in failures.items():
            if failure is not None and (any_reason or failure["fatal"] or all(failures.values())):
                self._lineage.pardon(uid)

    def _begin(self, number: int) -> dict | str:
        """Write down what a generation is to be, or say why there is none."""
        if number == 0:
            content = {
                "space": self._space,
                "suggestions": [None],
                "offspring": [self._parameters(FOUNDER, 0, [], {})],
            }
        else:
            plan = selection.plan(self._generations, self._rules)
            if plan.end is not None:
                return plan.end
            content = self._suggest(number, plan)
        self._lineage.write_generation(number, {**content, "closed": None})
        return {**content, "closed": None}

    def _suggest(self, number: int, plan: selection.Plan) -> dict:
        seed = seed_of(self._seed, number, "search")
        known = self._known()
        lessons = [Lesson(json.loads(suggestion), fitness) for suggestion, fitness in self._lessons]
        suggestions, offspring = (
            self._search.suggestions(self._space, lessons, self._population_size, seed),
            [],
        )
        for slot, suggestion in enumerate(suggestions):
            arguments = flat(suggestion)
            uid = uid_of(number, slot)
            ancestors = selection.draw_ancestors(plan.ancestors, self._parents, self._seed, uid)
            descent = [known[one] for one in ancestors], known[FOUNDER], self._rules
            factor = selection.gentler(
                Arguments.from_mapping(arguments).environmental_factor, plan.gentleness
            )
            factor = selection.far_enough(factor, *descent)
            if "environmental_factor" in suggestion:
                suggestion["environmental_factor"] = factor
            parameters = self._parameters(
                uid, number, ancestors, {**arguments, "environmental_factor": factor}
            )
            offspring.append({**parameters, "constrained": selection.constrained(factor, *descent)})
        return {"space": self._space, "suggestions": suggestions, "offspring": offspring}

    def _parameters(self, uid: str, generation: int, ancestors: list[str], arguments: dict) -> dict:
        ancestor, other = [*ancestors, None, None][:2]
        return {
            "uid": uid,
            "generation": generation,
            "ancestor": ancestor,
            "other": other,
            "seed": self._seed,
            "arguments": arguments,
            "resource": self._rules.resource,
            "latency": "latency" in self._rules.resources(),
            "origins": self._parents > 1,
            "early_ending": self._early_ending,
        }

    def _learn(self, found: dict, records: dict[str, Record | None]) -> None:
        """Take note of a generation that has ended."""
        number, kept = (
            len(self._generations),
            [record for record in records.values() if record is not None],
        )
        if not kept:
            failures = {
                failure["reason"] for failure in map(self._lineage.failure, records) if failure
            }
            what = (
                "the founder was lost"
                if number == 0
                else f"generation {number} lost all its offspring"
            )
            raise RuntimeError(f"{what}: {'; '.join(sorted(failures))}")
        known = self._known()
        for parameters, suggestion in zip(found["offspring"], found["suggestions"]):
            record = records.get(parameters["uid"])
            if number and record is not None:
                fitness = selection.fitness(
                    record, known[record.ancestor], known[FOUNDER], self._rules
                )
                self._lessons.append((json.dumps(suggestion), fitness))
        # of 10,000 offspring only those are kept in memory that later ones may descend from
        self._generations.append(selection.survivors([*self._generations, kept], self._rules)[-1])

    def _check_space(self, space) -> None:
        refuse_code(space)
        check_search_space(space)
        self._search.probe(space)

    # NNI's interface

    @guarded
    def update_search_space(self, search_space):
        try:
            self._check_space(search_space)
        except (TypeError, ValueError) as error:
            search_space = self._space or self._lineage.last_search_space()
            if search_space is None:
                raise
            say(f"the search space stays as it was: {error}")
        self._space = search_space
        self._lineage.update_state(
            population_size=self._population_size,
            seed=self._seed,
            search_space=search_space,
            **self._rules._asdict(),
        )

    @guarded
    def generate_multiple_parameters(self, parameter_id_list, st_callback=None, **kwargs):
        self.barrier.request(parameter_id_list)
        return []

    @guarded
    def trial_end(self, parameter_id, success, **kwargs):
        self.barrier.ended()

    @guarded
    def receive_trial_result(self, parameter_id, parameters, value, **kwargs):
        """Only a hint: NNI may pair results with other trials' parameters. The lineage on disk is the truth."""
        if isinstance(value, dict):
            self.barrier.reported(value.get("uid"))

    def load_checkpoint(self):
        """Nothing: all is read from the lineage on disk."""

    def import_data(self, data):
        """Nothing: NNI pairs results with other trials' parameters on resume."""


def _check_folder(folder):
    if folder is None:
        return Path(os.environ.get("NNI_CHECKPOINT_DIRECTORY", "."), "lineage")
    if (Path(folder) / "state.json").exists() and os.environ.get("NNI_MODE") != "resume":
        raise ValueError(
            f"{folder} already holds a lineage; name another folder, or go on by `nnictl resume`"
        )
    return Path(folder)
