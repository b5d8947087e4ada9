"""Stress on NNI's targets, through the masks of their wrappers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from .cluster_values import largest, per_cluster, per_synapse, spread_to_aligned, unstressed
from .inheritance import Inheritance
from .sampler import Offspring, Sampler
from .stressed import Ranks, in_several_processes
from .stressors.base import Coming
from .targets import (
    Masks,
    Target,
    TargetSpaces,
    draw_key,
    is_active,
    is_parameter,
    ordered,
    replace_mask,
    scaler_of,
)


class StressedTargets:
    """Active targets under stress, where synapses are the clusters or the structure is not known.

    Wrappers are lent masks that take no memory for synapses: one factor for each cluster, expanded.
    NNI copies every mask it is given, which takes a good part of a training step for large layers.

    Parameters
    ----------
    spaces
        The targets.
    inheritance
        What earlier generations removed.
    sampler
        Gives the strengths of the clusters, and draws masks.
    copy_masks
        Copies masks into the wrappers, as NNI's ``update_masks``.

    Examples
    --------
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> from nni_stress import PrunerArguments
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> network = nn.Linear(2, 4)
    >>> wrapper = ModuleWrapper(network, "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> inheritance = Inheritance({"layer": wrapper})
    >>> wrapper.wrap()
    >>> sampler = Sampler(PrunerArguments(), spaces, inheritance, torch.Generator())
    >>> stressed = StressedTargets(spaces, inheritance, sampler, lambda masks: None)
    >>> stressed.put_on({("layer", "weight"): torch.zeros(4, 1)})
    >>> float(network(torch.ones(1, 2)).abs().sum())
    0.0
    >>> stressed.take_off()
    >>> int(spaces["layer"]["weight"].mask.sum())
    8
    """

    def __init__(
        self,
        spaces: TargetSpaces,
        inheritance: Inheritance,
        sampler: Sampler,
        copy_masks: Callable[[Masks], None],
    ):
        self._spaces = spaces
        self._inheritance = inheritance
        self._sampler = sampler
        self._copy_masks = copy_masks
        self._original: dict[PruningTargetSpace, Tensor] = {}
        self._members: dict[Hashable, list[Target]] = {}
        for module, target, space in ordered(spaces):
            if is_active(space) and is_parameter(space):
                key = draw_key(module, target, space)
                self._members.setdefault(key, []).append((module, target, space))
        self.modules: dict[Hashable, tuple[str, ...]] = {
            key: tuple(module for module, _, _ in members) for key, members in self._members.items()
        }

    def start(self) -> None:
        """Lend every target a mask without stress, before the first step."""
        free: Masks = {module: {} for module in self._spaces}
        for module, target, space in ordered(self._spaces):
            if is_parameter(space) and space.target is not None:
                free[module][target] = unstressed(space)
        self._lend(free)

    def strengths(self, observed: Masks) -> Mapping[Hashable, Tensor]:
        """Strength of each cluster of a layer, or of layers that lose the same clusters."""
        found = self._sampler.mean_over_groups(self._sampler.strengths(observed))
        return {key: found[first[0]][first[1]] for key, (first, *_) in self._members.items()}

    def ranks(self, offspring: Offspring) -> Ranks:
        """Ranks and numbers of clusters by the coming offspring."""
        masks = self._sampler.masks(offspring.scores)
        found: Ranks = {}
        for key, ((module, target, space), *_) in self._members.items():
            if target not in offspring.scores.get(module, {}):
                continue
            score = offspring.scores[module][target]
            mask = masks[module][target].expand(space.shape)
            if scaler_of(space) is not None:
                mask = per_cluster(space, mask.float(), largest)
            order = score.flatten().argsort(descending=True)
            rank = torch.empty_like(order)
            rank.scatter_(0, order, torch.arange(len(order), device=order.device))
            present = int((score > -torch.inf).sum())
            survivors = max(1, int(mask.sum()))
            found[key] = Coming(rank.view_as(score), survivors, max(survivors, present))
        return found

    def put_on(self, factors: Mapping[Hashable, Tensor | None]) -> None:
        """Lend masks with factors, less what earlier generations removed."""
        self._lend(self._spread(factors))

    def felt(self) -> Masks:
        """Nothing: the masks that are lent show all factors."""
        return {}

    def decay(self, factors: Mapping[Hashable, Tensor]) -> None:
        """Multiply the weights of clusters by factors."""
        with torch.no_grad():
            for module, targets in self._spread(factors).items():
                for target, factor in targets.items():
                    self._spaces[module][target].target.mul_(factor)

    def _spread(self, factors: Mapping[Hashable, Tensor | None]) -> Masks:
        """Factors of all targets that feel those of some units."""
        spread: Masks = {}
        for key, factor in factors.items():
            for module, target, space in self._members[key]:
                own = unstressed(space) if factor is None else per_synapse(space, factor)
                spread.setdefault(module, {})[target] = own
        spread_to_aligned(self._spaces, spread)
        return spread

    def _lend(self, masks: Masks) -> None:
        masks = self._inheritance.keep_removed(masks)
        if in_several_processes():  # they send each other their masks, which must be whole
            self._copy_masks(masks)
            return
        for module, targets in masks.items():
            for target, mask in targets.items():
                space = self._spaces[module][target]
                if space not in self._original:
                    self._original[space] = space.mask
                replace_mask(space, mask)

    def take_off(self) -> None:
        """Give every wrapper its own mask back."""
        for space, mask in self._original.items():
            replace_mask(space, mask)
        self._original = {}

    def state(self) -> Any:
        """The masks that are lent."""
        return {
            module: {name: space.mask for name, space in targets.items() if self._lends(space)}
            for module, targets in self._spaces.items()
        }

    def restore(self, state: Any) -> None:
        """Lend what `state` returned, in place of other masks that are lent.

        Raises
        ------
        KeyError
            If these are not masks of the same targets.
        """
        for module, targets in self._spaces.items():
            for name, space in targets.items():
                if self._lends(space):
                    replace_mask(space, state[module][name])

    def _lends(self, space: PruningTargetSpace) -> bool:
        return space in self._original
