"""The stress phase: the training of an ancestor, with its synapses (weights) under stress."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..hparams import PrunerArguments
from .functional import stress
from .functional.survival import survival_probability
from .layer_settings import LayerSettings
from .sampler import Offspring, Sampler
from .stressed import Ranks, Stressed
from .stressors import STRESSORS
from .stressors.base import Coming, Situation
from .targets import Masks, TargetSpaces, is_parameter, ordered

Unit = tuple[int, Hashable]  # (index of what feels stress, its unit)

# Optimizer steps for which strengths hold, as they take a pass over all weights and change slowly.
_RENEWED = 10


class StressPhase:
    """One training under stress.

    Parameters
    ----------
    spaces
        All targets of the pruner.
    sampler
        Gives the strengths of the clusters (output channels or neurons), and draws the coming
        offspring.
    stressed
        What feels stress.
    settings
        Settings of stress for each layer.
    generator
        Generator of every random choice, on the CPU.
    total_steps
        Length of the phase in optimizer steps.

    Attributes
    ----------
    step
        Number of optimizer steps taken.

    Examples
    --------
    >>> from nni_stress import PrunerArguments
    >>> from nni_stress.pruning.inheritance import Inheritance
    >>> from nni_stress.pruning.stressed_targets import StressedTargets
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> inheritance = Inheritance({"layer": wrapper})
    >>> wrapper.wrap()
    >>> arguments = PrunerArguments(stressor="attenuate", stress_onset=0.0, stress_ramp=0.0)
    >>> generator = torch.Generator()
    >>> sampler = Sampler(arguments, spaces, inheritance, generator)
    >>> stressed = [StressedTargets(spaces, inheritance, sampler, lambda masks: None)]
    >>> settings = LayerSettings(arguments, {}, steps_per_epoch=None)
    >>> phase = StressPhase(spaces, sampler, stressed, settings, generator, total_steps=10)
    >>> phase.start()
    >>> phase.after_step()
    >>> phase.step, bool(spaces["layer"]["weight"].mask.min() < 1)
    (1, True)
    """

    def __init__(
        self,
        spaces: TargetSpaces,
        sampler: Sampler,
        stressed: Sequence[Stressed],
        settings: LayerSettings,
        generator: torch.Generator,
        total_steps: int,
    ):
        self.step = 0
        self.total_steps = total_steps
        self._spaces = spaces
        self._sampler = sampler
        self._stressed = stressed
        self._settings = settings
        self._generator = generator
        self._observer = sampler.observer(total_steps)
        self._levels: dict[Unit, float] = {}
        self._strengths: dict[int, _Strengths] = {}
        self._coming: _ComingOffspring | None = None

    @property
    def observed(self) -> Masks:
        """Strengths gathered so far, see :class:`nni_stress.pruning.importances.base.Observer`."""
        return self._observer.strengths

    @property
    def coming(self) -> Offspring | None:
        """The offspring that nested silence prepares the network for, if it was drawn already."""
        return None if self._coming is None else self._coming.offspring

    def forget_coming(self) -> None:
        """Forget the coming offspring, as its masks have been drawn."""
        self._coming = None

    def state(self) -> dict[str, Any]:
        """A snapshot between two steps, from which a phase of the same pruner can be resumed."""
        return {
            "step": self.step,
            "levels": dict(self._levels),
            "strengths": {index: (own.step, own.of) for index, own in self._strengths.items()},
            "observer": self._observer.state(),
            "stressed": [(type(own).__name__, own.state()) for own in self._stressed],
            "coming": None if self._coming is None else self._coming.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume, after `start`, from what `state` returned.

        Raises
        ------
        ValueError
            If other things feel stress here.
        """
        kinds = [kind for kind, _ in state["stressed"]]
        own = [type(stressed).__name__ for stressed in self._stressed]
        if kinds != own:
            raise ValueError(f"the state is of stress on {kinds}, but this phase has {own}")
        self.step = state["step"]
        self._levels = dict(state["levels"])
        strengths = state["strengths"].items()
        self._strengths = {index: _Strengths(*own) for index, own in strengths}
        self._observer.restore(state["observer"])
        for stressed, (_, applied) in zip(self._stressed, state["stressed"]):
            stressed.restore(applied)
        coming = state["coming"]
        self._coming = None if coming is None else _ComingOffspring.restored(coming)

    def start(self) -> None:
        """Get ready for stress, before the first step."""
        for stressed in self._stressed:
            stressed.start()

    def take_off(self) -> None:
        """Let the network compute without stress."""
        for stressed in self._stressed:
            stressed.take_off()

    def before_step(self, steps: Callable[[Tensor], bool] | None = None) -> None:
        """Look at the gradients of the coming optimizer step.

        Parameters
        ----------
        steps
            Says whether a parameter is about to be changed. None: all are.
        """
        if self.step < self.total_steps:
            targets = ordered(self._spaces)
            if steps is not None:
                targets = (
                    each for each in targets if is_parameter(each[2]) and steps(each[2].target)
                )
            self._observer.observe(targets, self._felt)

    def _felt(self) -> Masks:
        """Factors of clusters at present that NNI's masks do not show."""
        return {
            module: targets
            for stressed in self._stressed
            for module, targets in stressed.felt().items()
        }

    def after_step(self) -> None:
        """Count an optimizer step, and put the network under the stress of the next."""
        self.step += 1
        if self.step >= self.total_steps:
            return
        for index, stressed in enumerate(self._stressed):
            factors, decays = self._factors(index, stressed)
            if factors:
                stressed.put_on(factors)
            if decays:
                stressed.decay(decays)

    def _factors(
        self, index: int, stressed: Stressed
    ) -> tuple[dict[Hashable, Tensor | None], dict[Hashable, Tensor]]:
        """Changed factors of the effect of clusters, and factors of their weights."""
        factors: dict[Hashable, Tensor | None] = {}
        decays: dict[Hashable, Tensor] = {}
        for key, modules in stressed.modules.items():
            unit = index, key
            settings = self._settings.of(*modules)
            stressor = STRESSORS[settings.stressor]
            schedule = self._settings.schedule(settings, self.total_steps)
            level = stress.stress_level(self.step, schedule)
            before = self._levels.get(unit, 0.0)
            self._levels[unit] = level
            if level == before and (level == 0 or stressor.steady):
                continue
            if level == 0:
                factors[key] = None
                continue
            drawn = stressor.factor(self._situation(unit, settings, level))
            if stressor.decays:
                decays[key] = drawn
            else:
                factors[key] = drawn
        return factors, decays

    def _situation(self, unit: Unit, settings: PrunerArguments, level: float) -> Situation:
        return Situation(
            level,
            settings.stress_range,
            self.total_steps,
            self._generator,
            survival=lambda: survival_probability(self._strength_of(unit), settings.temperature),
            coming=lambda: self._coming_of(unit),
        )

    def _strength_of(self, unit: Unit) -> Tensor:
        """Strength of each cluster of a unit, computed only if a stressor asks."""
        index, key = unit
        known = self._strengths.get(index)
        if known is None or self.step >= known.step + _RENEWED:
            known = _Strengths(self.step, self._stressed[index].strengths(self.observed))
            self._strengths[index] = known
        return known.of[key]

    def _coming_of(self, unit: Unit) -> Coming:
        """A unit in the coming offspring.

        That offspring is drawn when a stressor first asks for it, and anew `stress_renewals` times
        at equal distances over the rest of the phase. The last one drawn is synthesized, as the
        network has adapted to it.
        """
        if self._coming is None:
            self._coming = self._drawn(_Drawing(self.step, 0, self._generator.get_state()))
        else:
            due = self._coming.drawing.due(self.step, self.total_steps, self._settings.renewals)
            if due > self._coming.drawing.renewals:
                drawing = self._coming.drawing._replace(renewals=due)
                now = self._generator.get_state()
                self._generator.set_state(drawing.random_state)
                self._coming = self._drawn(drawing)
                self._generator.set_state(now)
        index, key = unit
        return self._coming.ranks[index][key]

    def _drawn(self, drawing: _Drawing) -> _ComingOffspring:
        strengths = self._sampler.finite_strengths(self.observed)
        offspring = self._sampler.draw(strengths, self.observed)
        ranks = [stressed.ranks(offspring) for stressed in self._stressed]
        return _ComingOffspring(offspring, ranks, drawing)


class _Strengths(NamedTuple):
    """Strengths of the clusters of each unit, as they were at a step."""

    step: int
    of: Mapping[Hashable, Tensor]


class _Drawing(NamedTuple):
    """When and how the coming offspring was drawn.

    `random_state` is that of the generator at the onset. Each drawing starts from it: what survives
    then changes as far as strengths do, not by chance, to which no network can adapt.
    """

    onset: int
    renewals: int
    random_state: Tensor

    def due(self, step: int, total_steps: int, renewals: int) -> int:
        """How many of all renewals are due by a step."""
        return (step - self.onset) * (renewals + 1) // max(1, total_steps - self.onset)


@dataclass(frozen=True)
class _ComingOffspring:
    """An offspring drawn during the stress phase, and what it means for each unit under stress."""

    offspring: Offspring
    ranks: list[Ranks]
    drawing: _Drawing

    def state(self) -> dict[str, Any]:
        scores = {module: dict(targets) for module, targets in self.offspring.scores.items()}
        keep = None if self.offspring.keep is None else [int(n) for n in self.offspring.keep]
        ranks = [{key: tuple(own) for key, own in units.items()} for units in self.ranks]
        return {"keep": keep, "scores": scores, "ranks": ranks, "drawing": tuple(self.drawing)}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> _ComingOffspring:
        ranks = [{key: Coming(*own) for key, own in units.items()} for units in state["ranks"]]
        return cls(Offspring(state["keep"], state["scores"]), ranks, _Drawing(*state["drawing"]))
