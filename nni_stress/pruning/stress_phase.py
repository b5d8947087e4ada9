"""The stress phase: the training of an ancestor, with its synapses (weights) under stress."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from .cluster_values import largest, per_cluster, per_synapse, spread_to_aligned, unstressed
from .functional import stress
from .functional.survival import survival_probability
from .layer_settings import LayerSettings
from .sampler import Offspring, Sampler
from .stress_masks import StressedMasks
from .stressors import STRESSORS
from .stressors.base import Coming, Situation
from .targets import Masks, TargetSpaces, draw_key, is_active, is_parameter, ordered, scaler_of


class StressPhase:
    """One training under stress.

    Parameters
    ----------
    spaces
        All targets of the pruner.
    sampler
        Gives the strengths of the clusters (output channels or neurons), and draws the coming
        offspring.
    masks
        Puts stress factors on the network.
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
    >>> masks = StressedMasks(spaces, {"layer": wrapper}, inheritance, lambda masks: None)
    >>> settings = LayerSettings(arguments, {}, steps_per_epoch=None)
    >>> phase = StressPhase(spaces, sampler, masks, settings, generator, total_steps=10)
    >>> phase.start()
    >>> phase.after_step()
    >>> phase.step, bool(spaces["layer"]["weight"].mask.min() < 1)
    (1, True)
    """

    def __init__(
        self,
        spaces: TargetSpaces,
        sampler: Sampler,
        masks: StressedMasks,
        settings: LayerSettings,
        generator: torch.Generator,
        total_steps: int,
    ):
        self.step = 0
        self._spaces = spaces
        self._sampler = sampler
        self._masks = masks
        self._settings = settings
        self._generator = generator
        self._total = total_steps
        self._observer = sampler.observer(total_steps)
        self._schedules = {module: settings.schedule(module, total_steps) for module in spaces}
        self._levels: dict[str, float] = {}
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
            "observer": self._observer.state(),
            "masks": self._masks.state(),
            "coming": None if self._coming is None else self._coming.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume, after `start`, from what `state` returned."""
        self.step = state["step"]
        self._levels = dict(state["levels"])
        self._observer.restore(state["observer"])
        self._masks.restore(state["masks"])
        coming = state["coming"]
        self._coming = None if coming is None else _ComingOffspring.restored(coming)

    def start(self) -> None:
        """Lend every target a mask without stress, before the first step."""
        free: Masks = {module: {} for module in self._spaces}
        for module, target, space in ordered(self._spaces):
            if is_parameter(space) and space.target is not None:
                free[module][target] = unstressed(space)
        self._masks.put_on(free, free)

    def before_step(self) -> None:
        """Look at the gradients of the coming optimizer step."""
        if self.step < self._total:
            self._observer.observe(ordered(self._spaces))

    def after_step(self) -> None:
        """Count an optimizer step, and put the network under the stress of the next."""
        self.step += 1
        if self.step >= self._total:
            return
        masks, decays, silent = self._factors()
        spread_to_aligned(self._spaces, masks)
        spread_to_aligned(self._spaces, decays)
        if masks:
            self._masks.put_on(masks, silent)
        with torch.no_grad():
            for module, targets in decays.items():
                for target, factor in targets.items():
                    self._spaces[module][target].target.mul_(factor)

    def _factors(self) -> tuple[Masks, Masks, set[str]]:
        """Changed factors of masks and of weights, and the modules whose factors are 0 or 1."""
        masks: Masks = {}
        decays: Masks = {}
        silent: set[str] = set()
        drawn: dict[Hashable, Tensor] = {}
        strengths = functools.cache(self._mean_strengths)  # computed only if a stressor asks
        for module, target, space in ordered(self._spaces):
            if not is_active(space) or not is_parameter(space):
                continue
            stressor = STRESSORS[self._settings.of(module).stressor]
            level = stress.stress_level(self.step, self._schedules[module])
            before = self._levels.get(module, 0.0)
            self._levels[module] = level
            if level == before and (level == 0 or stressor.steady):
                continue
            if level == 0:
                masks.setdefault(module, {})[target] = unstressed(space)
                silent.add(module)
                continue
            key = draw_key(module, target, space)
            if key not in drawn:
                situation = self._situation(module, target, space, level, strengths)
                drawn[key] = stressor.factor(situation)
            factors = decays if stressor.decays else masks
            factors.setdefault(module, {})[target] = per_synapse(space, drawn[key])
            if stressor.silences:
                silent.add(module)
        return masks, decays, silent

    def _mean_strengths(self) -> Masks:
        return self._sampler.mean_over_groups(self._sampler.strengths(self.observed))

    def _situation(
        self,
        module: str,
        target: str,
        space: PruningTargetSpace,
        level: float,
        strengths: Callable[[], Masks],
    ) -> Situation:
        temperature = self._settings.of(module).temperature
        return Situation(
            level,
            self._total,
            self._generator,
            survival=lambda: survival_probability(strengths()[module][target], temperature),
            coming=lambda: self._coming_of(draw_key(module, target, space)),
        )

    def _coming_of(self, key: Hashable) -> Coming:
        """A target in the coming offspring, which is drawn when nested silence sets in.

        The network adapts to this offspring, so it is the one that is synthesized. Redrawing at the
        end would discard what the network adapted to, as strengths observed under silence favour
        clusters that were often silent.
        """
        if self._coming is None:
            strengths = self._sampler.finite_strengths(self.observed)
            offspring = self._sampler.draw(strengths, self.observed)
            ranks = _ranks(self._spaces, self._sampler, offspring)
            self._coming = _ComingOffspring(offspring, self.step, ranks)
        rank, count = self._coming.ranks[key]
        width = stress.nested_width(self.step, self._coming.onset, self._total)
        return Coming(rank, count, width)


@dataclass(frozen=True)
class _ComingOffspring:
    """An offspring drawn during the stress phase, at the step `onset`.

    `ranks` has the rank of each cluster and the number of survivors, for each random draw.
    """

    offspring: Offspring
    onset: int
    ranks: dict[Hashable, tuple[Tensor, int]]

    def state(self) -> dict[str, Any]:
        scores = {module: dict(targets) for module, targets in self.offspring.scores.items()}
        keep = None if self.offspring.keep is None else [int(n) for n in self.offspring.keep]
        return {"keep": keep, "scores": scores, "onset": self.onset, "ranks": self.ranks}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> _ComingOffspring:
        return cls(Offspring(state["keep"], state["scores"]), state["onset"], state["ranks"])


def _ranks(
    spaces: TargetSpaces, sampler: Sampler, offspring: Offspring
) -> dict[Hashable, tuple[Tensor, int]]:
    ranks: dict[Hashable, tuple[Tensor, int]] = {}
    masks = sampler.masks(offspring.scores)
    for module, target, space in ordered(spaces):
        if target not in offspring.scores.get(module, {}):
            continue
        score = offspring.scores[module][target]
        mask = masks[module][target].expand(space.shape)
        if scaler_of(space) is not None:
            mask = per_cluster(space, mask.float(), largest)
        order = score.flatten().argsort(descending=True)
        rank = torch.empty_like(order)
        rank.scatter_(0, order, torch.arange(len(order), device=order.device))
        count = max(1, int(mask.sum()))
        ranks[draw_key(module, target, space)] = rank.view_as(score), count
    return ranks
