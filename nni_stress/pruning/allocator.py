"""Divides a budget among the layers of a pruner, as sparse ratios for NNI's own rules."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from . import screening
from .budget import Budget, MeasuredShare
from .functional.allocation import TOLERANCE, Share, share
from .targets import Masks, TargetSpaces, is_active, set_settings, settings_of

_log = logging.getLogger(__name__)

# How often a budget of a measured resource is corrected by what was measured.
CORRECTIONS = 8


@dataclass(frozen=True)
class _Group:
    """A group of clusters that are removed together, as the pruner's config allows."""

    size: int
    blocks: int
    frozen: bool
    layers: tuple[str, ...]
    floor: int
    worth: float


class Allocator:
    """Divides a budget among the groups of clusters (output channels or neurons) of a network.

    From the moment it is made, NNI's rules know which layers lose the same clusters.

    Parameters
    ----------
    budget
        The budget.
    spaces
        All targets of the pruner. Groups lose clusters if the pruner's config names all their
        layers.

    Examples
    --------
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> budget = Budget(network, torch.rand(1, 4), {"parameters": 0.5})
    >>> wrapper = ModuleWrapper(network[0], "0", {"pruning": {"sparse_ratio": 0.0}})
    >>> spaces = {"0": wrapper.pruning_target_spaces}
    >>> allocator = Allocator(budget, spaces)
    >>> allocator.share_out({"0": {"weight": torch.ones(8, 1)}})
    [3, 2]
    """

    def __init__(self, budget: Budget, spaces: TargetSpaces):
        self._budget = budget
        self._spaces = spaces
        self._limit = budget.limit
        self._groups = _allowed_groups(budget, spaces)
        self._kept: list[int] = []
        self.set_kept(budget.sizes)

    @property
    def frozen(self) -> list[bool]:
        """For each group, whether it keeps all of its clusters."""
        return [group.frozen for group in self._groups]

    def share_out(self, strengths: Masks, comparable: Container[str] = ()) -> list[int]:
        """Divide the budget by importance, the square of strength, and make NNI's rules keep to it.

        Parameters
        ----------
        strengths
            {module name: {target name: strength of each cluster}}
        comparable
            Names of the layers whose strengths compare with those of other layers, as Taylor
            importance does. Norms of weights compare within a layer only, so they are divided by
            their mean: such a layer counts as one of typical strength.

        Returns
        -------
        list
            How many clusters each group keeps.
        """
        importance = self._importance(strengths, comparable)
        measured = self._budget.measured
        found = self._share(importance) if measured is None else self._fit(importance, measured)
        if found.obstacle:
            _log.warning("the budget is missed: %s", found.obstacle)
        self.set_kept(found.keep)
        return found.keep

    def _importance(self, strengths: Masks, comparable: Container[str]) -> list[Tensor]:
        means = [
            float(strengths[layer]["weight"].mean())
            for group in self._groups
            if not group.frozen
            for layer in group.layers
            if layer in comparable
        ]
        typical = sum(means) / len(means) if means else 1.0
        importance = []
        for group in self._groups:
            total = torch.zeros(group.size)
            for layer in () if group.frozen else group.layers:
                strength = strengths[layer]["weight"].detach().flatten().float().cpu()
                if layer not in comparable:
                    strength = typical * strength / strength.mean().clamp(min=1e-30)
                total += strength**2
            importance.append(group.worth * total)
        return importance

    def _share(self, importance: list[Tensor]) -> Share:
        rules = self._budget.rules
        return share(
            importance,
            self._budget.cost,
            self._limit,
            floor=rules.floor,
            multiple=rules.multiple,
            frozen=[group.frozen for group in self._groups],
            blocks=[group.blocks for group in self._groups],
            redundancy=rules.redundancy,
        )

    def _fit(self, importance: list[Tensor], measured: MeasuredShare) -> Share:
        """Correct the limit until a network of the shape found uses, as measured, what it may use.

        If even the smallest network uses more, nearly that is enough: more would be lost for
        nothing.
        """
        least = measured.used([group.floor for group in self._groups])
        target = max(measured.share, (1 + TOLERANCE) * least)
        best = None
        best_limit = self._limit
        known: set[tuple[int, ...]] = set()
        for _ in range(CORRECTIONS):
            found = self._share(importance)
            if tuple(found.keep) in known:
                break
            known.add(tuple(found.keep))
            used = measured.used(found.keep)
            if best is None or abs(used - target) < abs(best.cost - target):
                best = Share(found.keep, used, None)
                best_limit = self._limit
            if (1 - TOLERANCE) * target <= used <= target:
                break
            self._limit *= (1 - TOLERANCE / 2) * target / used
        assert best is not None  # the first round always finds one
        self._limit = best_limit
        if abs(best.cost / measured.share - 1) <= TOLERANCE:
            return best
        obstacle = (
            f"{best.cost:.3f} of the {measured.name} is the nearest to {measured.share:g} that was "
            f"measured"
        )
        if target > measured.share:
            obstacle += f"; the least the layers can keep takes {least:.3f}"
        return best._replace(obstacle=obstacle)

    def candidates(
        self, keep: Sequence[int], number: int, generator: torch.Generator
    ) -> list[list[int]]:
        """Draw architectures around one, within the budget.

        Parameters
        ----------
        keep
            How many clusters each group keeps in the architecture to draw around.
        number
            Number of architectures wanted.
        generator
            Generator of the draws, on the CPU.

        Returns
        -------
        list
            Architectures, the given one first, see
            :func:`nni_stress.pruning.screening.candidates`.
        """
        multiple = self._budget.rules.multiple
        return screening.candidates(
            keep,
            [group.size for group in self._groups],
            [group.floor for group in self._groups],
            [
                max(group.blocks, multiple if group.size >= multiple else 1)
                for group in self._groups
            ],
            self._budget.cost,
            self._limit,
            number,
            generator,
        )

    def state(self) -> dict[str, Any]:
        """How the budget is divided at present, as plain data."""
        return {"limit": float(self._limit), "kept": self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Divide the budget as it was when `state` returned this."""
        self._limit = state["limit"]
        self.set_kept(state["kept"])

    def set_kept(self, keep: Sequence[int]) -> None:
        """Make NNI's rules keep these numbers of clusters, the same clusters within each group."""
        self._kept = [int(count) for count in keep]
        for index, (count, group) in enumerate(zip(keep, self._groups)):
            if group.frozen:
                continue
            size = group.size // group.blocks
            kept = count // group.blocks
            # half a cluster more, as NNI rounds the number of removed clusters down
            ratio = (size - kept + 0.5) / size if kept < size else 0.0
            together = len(group.layers) > 1 or group.blocks > 1
            for layer in group.layers:
                space = self._spaces[layer]["weight"]
                changes = {
                    "sparse_ratio": ratio,
                    "dependency_group_id": f"cluster group {index}" if together else None,
                    "internal_metric_block": group.blocks,
                }
                set_settings(space, {**settings_of(space), **changes})


def _allowed_groups(budget: Budget, spaces: TargetSpaces) -> list[_Group]:
    frozen = []
    for group in budget.graph.groups:
        weights = [spaces.get(layer, {}).get("weight") for layer in group.layers]
        named = [space is not None and is_active(space) for space in weights]
        frozen.append(group.frozen or not all(named) or not named)
    worths = _worths(budget, frozen)
    least = budget.rules.floor
    return [
        _Group(
            size=group.clusters,
            blocks=group.blocks,
            frozen=fixed,
            layers=tuple(group.layers),
            floor=group.clusters
            if fixed
            else min(group.clusters, -(-max(least, group.blocks) // group.blocks) * group.blocks),
            worth=worth,
        )
        for group, fixed, worth in zip(budget.graph.groups, frozen, worths)
    ]


def _worths(budget: Budget, frozen: Sequence[bool]) -> list[float]:
    """Worth of the clusters of each group, by where the network first calls one of its layers."""
    order = list(budget.graph.input_shapes())  # in the order in which the network calls its layers
    first = {
        index: min(order.index(layer) for layer in group.layers)
        for index, (group, fixed) in enumerate(zip(budget.graph.groups, frozen))
        if not fixed
    }
    ranked = sorted(first, key=first.__getitem__)
    depths = {index: rank / max(len(ranked) - 1, 1) for rank, index in enumerate(ranked)}
    return [_worth_at(depths.get(index, 0.5), *budget.rules.worth) for index in range(len(frozen))]


def _worth_at(depth: float, early: float, late: float) -> float:
    """Worth at a depth in [0, 1]: `early` at 0, 1 at 0.5 and `late` at 1; in proportion between."""
    return math.exp(
        math.log(early) * max(0.0, 1 - 2 * depth) + math.log(late) * max(0.0, 2 * depth - 1)
    )
