"""Plans a generation: which offspring are to be made, from which ancestors, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..hparams import Arguments
from ..lineage.planned_generation import PlannedGeneration
from ..lineage.record import Record
from ..lineage.trial_spec import TrialSpec
from ..lineage.uid import FOUNDER, uid_of
from ..utils.seeding import seed_of
from . import environment
from .history import History
from .maturation import to_mature
from .rules import Plan, Rules
from .search import Search
from .search_space import flat
from .tuner_arguments import TunerArguments


@dataclass(frozen=True)
class Planner:
    """Plans the generations of one evolution.

    Parameters
    ----------
    arguments
        StressTuner's.
    rules
        The rules of the evolution.
    search
        Suggests hyperparameters.

    Examples
    --------
    >>> arguments = TunerArguments()
    >>> planner = Planner(arguments, arguments.rules(), Search("Random"))
    >>> [spec.uid for spec in planner.founder(space={}).offspring]
    ['g000-00']
    """

    arguments: TunerArguments
    rules: Rules
    search: Search

    def founder(self, space: Mapping[str, Any] | None) -> PlannedGeneration:
        """Generation 0, which is the founder alone."""
        return PlannedGeneration(space, (None,), (self._spec(FOUNDER, 0, [], {}, {}),))

    def generation(
        self, history: History, plan: Plan, space: Mapping[str, Any]
    ) -> PlannedGeneration:
        """Plan the offspring of the coming generation.

        Parameters
        ----------
        history
            Of all generations so far.
        plan
            What follows them; it must not be the end.
        space
            NNI's search space.
        """
        number = history.number
        seed = seed_of(self.arguments.seed, number, "search")
        suggestions = self.search.suggestions(
            space, history.observations(), self.arguments.population_size, seed
        )
        offspring = tuple(
            self._offspring(uid_of(number, slot), number, suggestion, history, plan)
            for slot, suggestion in enumerate(suggestions)
        )
        return PlannedGeneration(space, tuple(suggestions), offspring)

    def maturation(self, generations: Sequence[Sequence[Record]]) -> PlannedGeneration | None:
        """Plan the maturation, the last step of an evolution; None if there is none.

        Parameters
        ----------
        generations
            Records of each generation that count, the founder's first.
        """
        if not self.arguments.maturation_epochs:
            return None
        number = len(generations)
        chosen = to_mature(generations, self.rules, self.arguments.matured)
        specs = tuple(
            replace(
                self._spec(uid_of(number, slot), number, [record.uid], self._long(record), {}),
                early_ending=False,
                maturation=True,
            )
            for slot, record in enumerate(chosen)
        )
        return PlannedGeneration(None, (None,) * len(specs), specs) if specs else None

    def _long(self, record: Record) -> dict[str, Any]:
        """Hyperparameters of the maturation of a network."""
        rate = self.arguments.maturation_learning_rate
        if rate is None:
            rate = Arguments.from_mapping(record.arguments).learning_rate
        return {
            "environmental_factor": 1.0,
            "stress_epochs": 0.0,
            "recovery_epochs": self.arguments.maturation_epochs,
            "learning_rate": rate,
        }

    def _offspring(
        self,
        uid: str,
        number: int,
        suggestion: dict[str, Any],
        history: History,
        plan: Plan,
    ) -> TrialSpec:
        """One offspring, whose environmental factor is also written into its suggestion."""
        chosen = flat(suggestion)
        known = history.known()
        names = environment.draw_ancestors(
            plan.ancestors, self.arguments.parents, self.arguments.seed, uid
        )
        ancestors = [known[name] for name in names]
        founder = known[FOUNDER]
        factor = environment.gentler(
            Arguments.from_mapping(chosen).environmental_factor, plan.gentleness
        )
        factor = environment.limit_to_target(factor, ancestors, founder, self.rules)
        if "environmental_factor" in suggestion:  # in place: the search keeps the suggestion, too
            suggestion["environmental_factor"] = factor
        shares = environment.constrained_shares(factor, ancestors, founder, self.rules)
        return self._spec(uid, number, names, {**chosen, "environmental_factor": factor}, shares)

    def _spec(
        self,
        uid: str,
        number: int,
        ancestors: Sequence[str],
        chosen: Mapping[str, Any],
        shares: Mapping[str, float],
    ) -> TrialSpec:
        ancestor, other = [*ancestors, None, None][:2]
        return TrialSpec(
            uid=uid,
            generation=number,
            ancestor=ancestor,
            other=other,
            seed=self.arguments.seed,
            arguments=chosen,
            resource=self.rules.resource,
            latency="latency" in self.rules.resources(),
            origins=self.arguments.parents > 1,
            early_ending=self.arguments.early_ending,
            constrained=shares,
        )
