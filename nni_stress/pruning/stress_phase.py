"""The stress phase: carries the state of stress over the targets of a pruner, from step to step of its training."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from nni.compression.base.target_space import TargetType

from ..hparams import PrunerArguments
from .functional import stress
from .functional import survival as genetics
from .sampler import Sampler, drawn_as, is_active

# Over what share of the phase Taylor importance looks back.
MEMORY = 0.2


class StressPhase:
    """Stress upon the clusters of a pruner's targets.

    Parameters
    ----------
    arguments
        Settings of all layers.
    overrides
        {regular expression of the module's name: {setting: value}}; the last that matches wins.
    steps_per_epoch
        Where times are in epochs.
    """

    def __init__(
        self,
        arguments: PrunerArguments,
        overrides: Mapping[str, Mapping[str, Any]],
        steps_per_epoch: int | None,
    ):
        self._arguments, self._steps_per_epoch = arguments, steps_per_epoch
        self._overrides = []
        if not isinstance(overrides, Mapping):
            raise TypeError(
                f"stress_overrides must be {{pattern: {{setting: value}}}}, but got {overrides!r}"
            )
        for pattern, settings in overrides.items():
            if not isinstance(settings, Mapping):
                raise TypeError(
                    f"stress_overrides of {pattern!r} must be {{setting: value}}, but got {settings!r}"
                )
            wrong = [name for name in settings if not name.startswith("stress")]
            if wrong:
                raise ValueError(
                    f"stress_overrides of {pattern!r}: only stress settings may differ between layers, "
                    f"but got {wrong[0]!r}"
                )
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"stress_overrides: {pattern!r} is no regular expression: {error}"
                ) from None
            self._overrides.append(
                (compiled, PrunerArguments.from_mapping({**asdict(arguments), **settings}))
            )
        self.step = 0
        self.unsettle()
        self.taylor_strength: dict = {}  # {module: {target: root mean square of (gradient x weight) of each cluster}}

    def check_modules(self, modules) -> None:
        """Raise ValueError if a pattern of the overrides matches none of the modules."""
        for pattern, _ in self._overrides:
            if not any(pattern.fullmatch(module) for module in modules):
                raise ValueError(
                    f"stress_overrides must match modules of the config list, but {pattern.pattern!r} "
                    f"matches none of {', '.join(sorted(modules))}"
                )

    def begin(self, pruner, sampler: Sampler, total_steps: int) -> None:
        """Start a phase of `total_steps` optimizer steps over the pruner's targets."""
        self._pruner, self._sampler, self._total = pruner, sampler, total_steps
        self.step, self._levels = 0, {}
        self.unsettle()
        self.taylor_strength, self._counts = {}, {}
        self._schedules = {
            module: self._schedule(self._settings(module)) for module, _, _ in sampler.targets()
        }
        free = {module: {} for module in self._schedules}
        for module, target, space in sampler.targets():
            if space.type is TargetType.PARAMETER and space.target is not None:
                free[module][target] = self._unstressed(space)
        pruner.stressed_masks.put_on(free, free)

    def unsettle(self) -> None:
        """Forget the offspring that nested silence has in view: its masks have been drawn."""
        self.settled, self._ranks = None, {}

    def _settings(self, module_name: str) -> PrunerArguments:
        found = [
            settings for pattern, settings in self._overrides if pattern.fullmatch(module_name)
        ]
        return found[-1] if found else self._arguments

    def _schedule(self, settings: PrunerArguments) -> stress.Schedule:
        unit = {"share": self._total, "steps": 1, "epochs": self._steps_per_epoch}[
            settings.stress_unit
        ]
        return stress.Schedule(
            settings.stress_peak,
            settings.stress_onset * unit,
            settings.stress_ramp * unit,
            settings.stress_plateau * unit,
            settings.stress_shape,
        )

    def before_step(self) -> None:
        """Gather Taylor importance (Molchanov et al., arXiv 1906.10771) from the gradients of the step to come."""
        if self._arguments.strength != "taylor" or self.step >= self._total:
            return
        for module, target, space in self._sampler.targets():
            if not is_active(space) or space.target.grad is None:
                continue
            effect, active = space.target.grad * space.target.detach(), space.mask
            if (
                space._scaler is not None
            ):  # a cluster counts as one: the summed effect of its synapses
                effect = space._scaler.shrink(effect, lambda t: t.sum(-1), keepdim=True)
                active = space._scaler.shrink(active, lambda t: t.amax(-1), keepdim=True)
            means = self.taylor_strength.setdefault(module, {})
            counts = self._counts.setdefault(module, {})
            if target not in means:
                means[target], counts[target] = torch.zeros_like(effect), torch.zeros_like(effect)
            counts[target] += (
                active > 0
            )  # a silent cluster shows no effect, which says nothing of its importance
            gain = torch.where(
                active > 0, 1 / counts[target].clamp(min=1, max=max(1, MEMORY * self._total)), 0.0
            )
            means[target].copy_((means[target] ** 2).lerp(effect**2, gain).sqrt())

    def after_step(self) -> None:
        """Count an optimizer step, and let every synapse feel the stress of the next."""
        self.step += 1
        if self.step >= self._total:
            return
        masks, decays, drawn, silence = {}, {}, {}, set()
        # taken only if asked for
        together = functools.cache(
            lambda: self._sampler.together(self._sampler.strengths(self.taylor_strength))
        )
        for module, target, space in self._sampler.targets():
            if not is_active(space) or space.type is not TargetType.PARAMETER:
                continue
            settings = self._settings(module)
            level, before = (
                stress.stress_level(self.step, self._schedules[module]),
                self._levels.get(module, 0.0),
            )
            self._levels[module] = level
            if level == before and (level == 0 or settings.stressor == "attenuate"):
                continue  # nothing has changed, and nothing is computed
            key = drawn_as(module, target, space)
            if level > 0 and key not in drawn:
                if settings.stressor == "nested_silence":
                    drawn[key] = self._nested(key, level)
                else:
                    drawn[key] = self._factor(settings, together()[module][target], level)
            kind = decays if settings.stressor == "weaken" and level else masks
            kind.setdefault(module, {})[target] = (
                self._expand(space, drawn[key]) if level > 0 else self._unstressed(space)
            )
            if level == 0 or settings.stressor in ("silence", "nested_silence"):
                silence.add(module)
        if not masks and not decays:
            return
        self._spread_to_aligned(masks)
        self._spread_to_aligned(decays)
        if masks:
            self._pruner.stressed_masks.put_on(masks, silence)
        with torch.no_grad():
            for module, targets in decays.items():
                for target, factor in targets.items():
                    self._pruner._target_spaces[module][target].target.mul_(factor)

    def _factor(self, settings, strength, level):
        """Factor of each cluster's effective strength (of its weights, where they are weakened)."""
        survival = genetics.survival_probability(strength, settings.temperature)
        if settings.stressor == "attenuate":
            return stress.attenuation(survival, level)
        if settings.stressor == "silence":
            return stress.silence(survival, level, self._pruner._generator)
        return stress.weakening(survival, level, self._total)

    def _nested(self, key, level):
        """The same by nested silence, around the offspring that is coming."""
        if self.settled is None:
            self._settle(self._sampler.finite_strengths(self.taylor_strength))
        rank, coming = self._ranks[key]
        width = stress.nested_width(self.step, self._onset, self._total)
        return stress.nested_silence(rank, coming, level, self._pruner._generator, width)

    def _settle(self, strengths) -> None:
        """Draw the coming offspring once, as nested silence sets in: what the network then adapts to is what comes.

        Taken again at the end, strengths would favour whatever the silence had made rare, and the adaptation were lost.
        """
        self._onset = self.step
        self.settled = _keep, scores = self._pruner.draw_offspring(strengths)
        coming = self._sampler.masks(scores, self._pruner._inherited)
        for module, target, space in self._sampler.targets():
            if target not in scores.get(module, {}):
                continue
            mask, score = coming[module][target].expand(space.shape), scores[module][target]
            if space._scaler is not None:
                mask = space._scaler.shrink(mask.float(), lambda t: t.amax(-1), keepdim=True)
            order = score.flatten().argsort(descending=True)
            rank = torch.empty_like(order).scatter_(
                0, order, torch.arange(len(order), device=order.device)
            )
            self._ranks[drawn_as(module, target, space)] = (
                rank.view_as(score),
                max(1, int(mask.sum())),
            )

    @staticmethod
    def _unstressed(space):
        return space.mask.new_ones(()).expand(space.shape)

    @staticmethod
    def _expand(space, factor):
        """A factor of each cluster as one of each synapse; where clusters are no blocks, without memory for the synapses."""
        shape = space.shape
        if space._scaler is not None and any(
            one not in (1, all_) for one, all_ in zip(factor.shape, shape)
        ):
            factor = space._scaler.expand(factor, shape, keepdim=True, full_expand=False)
        return factor.to(space.mask.dtype).expand(shape)

    def _spread_to_aligned(self, factors) -> None:
        """What a cluster's weights feel, its bias and all else that is aligned to them feels, too."""
        for module, target, space in self._sampler.targets() if factors else ():
            align = space._setting.get("align")
            if not align or space.type is not TargetType.PARAMETER or space.target is None:
                continue
            felt = factors.get(align["module_name"] or module, {}).get(align["target_name"])
            if felt is not None:
                kept = {dimension % felt.dim() for dimension in align["dims"]}
                for dimension in sorted(set(range(felt.dim())) - kept, reverse=True):
                    alike = felt.stride(dimension) == 0  # a factor is most often one for a cluster
                    felt = felt.select(dimension, 0) if alike else felt.amax(dimension)
                if (
                    space._scaler is not None and list(felt.shape) != space.shape
                ):  # as NNI's rules align shapes
                    felt = space._scaler.expand(felt, space.shape)
                factors.setdefault(module, {})[target] = felt.to(space.mask.dtype).expand(
                    space.shape
                )
