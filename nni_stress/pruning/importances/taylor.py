"""Taylor importance: the estimated effect on the loss of removing a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from ..cluster_values import largest, per_cluster
from ..targets import Masks, Target, is_active
from .base import Importance, Observer

Effect: TypeAlias = Callable[[str, str, PruningTargetSpace], Tensor]

# Share of the stress phase over which the running average looks back.
MEMORY = 0.2


class Taylor(Importance):
    """Root mean square of the summed gradient x weight of a cluster, gathered while training.

    After Molchanov et al., arXiv 1906.10771, as a running average. Layers without gradients (frozen
    ones) are ranked by the L1 norm of their weights.

    Examples
    --------
    >>> Taylor().observer(total_steps=100).strengths
    {}
    """

    name = "taylor"
    needs_training = True

    def observer(self, total_steps: int) -> Observer:
        """Return a new observer of a training of that many optimizer steps."""
        return TaylorObserver(total_steps)


class TaylorObserver(Observer):
    """Gathers Taylor importance from the gradients of each step.

    Parameters
    ----------
    total_steps
        Length of the training in optimizer steps.
    effect
        Returns the effect of each cluster of a target by the gradients of one step, in place of the
        summed gradient x weight.

    Examples
    --------
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> layer = torch.nn.Linear(1, 1)
    >>> wrapper = ModuleWrapper(layer, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.weight.grad = torch.ones(1, 1)
    >>> observer = TaylorObserver(total_steps=10)
    >>> observer.observe([("layer", "weight", wrapper.pruning_target_spaces["weight"])])
    >>> bool(observer.strengths["layer"]["weight"] == wrapper.weight.abs())
    True
    """

    def __init__(self, total_steps: int, effect: Effect | None = None) -> None:
        super().__init__()
        self._effect = effect or _effect
        self._window = max(1, MEMORY * total_steps)
        self._counts: Masks = {}

    def observe(self, targets: Iterable[Target], felt: Callable[[], Masks] = dict) -> None:
        """Take the gradients of the active targets into the running averages."""
        factors = felt()
        for module, target, space in targets:
            if not is_active(space) or space.target.grad is None:
                continue
            effect = self._effect(module, target, space)
            factor = per_cluster(space, space.mask, largest)
            if target in factors.get(module, {}):
                factor = factor * factors[module][target].to(factor).view_as(factor)
            active = factor > 0
            # a factor reduces the gradient likewise, which says nothing about importance
            effect = effect / factor.where(active, 1.0)
            means = self.strengths.setdefault(module, {})
            counts = self._counts.setdefault(module, {})
            if target not in means:
                means[target] = torch.zeros_like(effect)
                counts[target] = torch.zeros_like(effect)
            # a silenced cluster has no effect now, which says nothing about its importance
            counts[target] += active
            gain = torch.where(active, 1 / counts[target].clamp(min=1, max=self._window), 0.0)
            means[target].copy_((means[target] ** 2).lerp(effect**2, gain).sqrt())

    def state(self) -> dict[str, Any]:
        """The running averages, and over how many steps each was taken."""
        return {**super().state(), "counts": self._counts}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        super().restore(state)
        self._counts = state["counts"]


def _effect(module: str, target: str, space: PruningTargetSpace) -> Tensor:
    # a cluster counts as one: the summed effect of its synapses
    return per_cluster(space, space.target.grad * space.target.detach(), _summed)


def _summed(values: Tensor) -> Tensor:
    return values.sum(-1)
