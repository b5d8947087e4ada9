"""Divides a budget among the layers of a pruner, as sparse ratios for NNI's own rules."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..graph.cluster_graph import ClusterGraph
from .budget import Budget
from .cluster_draw import ClusterDraw
from .cluster_strengths import add_at
from .functional.allocation import TOLERANCE, Share, share
from .functional.breeding import Space, steps_of
from .measured_share import MeasuredShare
from .targets import Masks, TargetSpaces, set_settings, settings_of

_log = logging.getLogger(__name__)


class Allocator:
    """Divides a budget among the groups of clusters (output channels or neurons) of a network.

    From the moment it is made, NNI's rules know which layers lose the same clusters.

    Parameters
    ----------
    budget
        The budget.
    spaces
        All targets of the pruner.
    draw
        Knows which groups the config list allows to lose clusters.

    Examples
    --------
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> from nni_stress.graph.cluster_graph import ClusterGraph
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> budget = Budget(network, graph, {"parameters": 0.5})
    >>> wrapper = ModuleWrapper(network[0], "0", {"pruning": {"sparse_ratio": 0.0}})
    >>> spaces = {"0": wrapper.pruning_target_spaces}
    >>> allocator = Allocator(budget, spaces, ClusterDraw(budget.graph, network, spaces))
    >>> allocator.share_out({"0": {"weight": torch.ones(8, 1)}})
    [3]
    """

    def __init__(self, budget: Budget, spaces: TargetSpaces, draw: ClusterDraw):
        self._budget = budget
        self._spaces = spaces
        self._draw = draw
        self._limit = budget.limit
        least = budget.rules.floor
        self._frozen = [group.frozen for group in draw.groups]
        self._floors = [
            group.size
            if group.frozen
            else min(group.size, -(-max(least, group.blocks) // group.blocks) * group.blocks)
            for group in draw.groups
        ]
        self._worths = _worths(budget, draw)
        self._missed: str | None = None
        self._kept: list[int] = []
        self.set_kept(budget.sizes)

    @property
    def frozen(self) -> list[bool]:
        """For each group, whether it keeps all of its clusters."""
        return self._frozen

    @property
    def kept(self) -> list[int]:
        """How many clusters each group keeps at present."""
        return self._kept

    @property
    def missed(self) -> str | None:
        """Why the budget was exceeded, or not fully used, when it was last divided; else None."""
        return self._missed

    def share_out(
        self,
        strengths: Masks,
        comparable: Container[str] = (),
        unnamed: Mapping[int, Tensor] | None = None,
    ) -> list[int]:
        """Divide the budget by importance, the square of strength, and make NNI's rules keep to it.

        Parameters
        ----------
        strengths
            {module name: {target name: strength of each cluster}}
        comparable
            Names of the layers whose strengths compare with those of other layers, as Taylor
            importance does. Norms of weights compare within a layer only, so they are divided by
            their mean: such a layer counts as one of typical strength.
        unnamed
            {index: strength of each cluster} of groups that are the outputs of no layer.

        Returns
        -------
        list
            How many clusters each group keeps.
        """
        importance = self._importance(strengths, comparable, unnamed or {})
        measured = self._budget.measured
        if measured is None:
            found = self._share(importance, self._limit)
        else:
            found = self._fit(importance, measured)
        self._missed = self._why_missed(found) if found.obstacle else None
        if self._missed:
            _log.warning("the budget is missed: %s", self._missed)
        self.set_kept(found.keep)
        return found.keep

    def _why_missed(self, found: Share) -> str:
        """Why a budget is missed: the least reachable, and the layers that stand in the way."""
        if self._budget.measured is not None or self._budget.cost(self._floors) <= self._limit:
            return f"{found.obstacle}"
        return f"the least the layers can keep is {self._budget.in_the_way(self._floors)}"

    def _importance(
        self, strengths: Masks, comparable: Container[str], unnamed: Mapping[int, Tensor]
    ) -> list[Tensor]:
        means = [
            float(strengths[layer]["weight"].mean())
            for group in self._draw.groups
            if not group.frozen
            for layer in group.layers
            if layer in comparable and layer in strengths
        ]
        typical = sum(means) / len(means) if means else 1.0
        importance = []
        for index, group in enumerate(self._draw.groups):
            total = torch.zeros(group.size)
            if index in unnamed:
                strength = unnamed[index]
                total += (typical * strength / strength.mean().clamp(min=1e-30)) ** 2
            for layer, places in () if group.frozen else group.layers.items():
                if layer not in strengths:  # an embedding, which needs not be named
                    continue
                strength = strengths[layer]["weight"].detach().flatten().float().cpu()
                if layer not in comparable:
                    strength = typical * strength / strength.mean().clamp(min=1e-30)
                add_at(total, places, strength**2)
            importance.append(self._worths[index] * total)
        return importance

    def _share(self, importance: list[Tensor], limit: float) -> Share:
        rules = self._budget.rules
        return share(
            importance,
            self._budget.cost,
            limit,
            floor=rules.floor,
            multiple=rules.multiple,
            frozen=self._frozen,
            blocks=[group.blocks for group in self._draw.groups],
            redundancy=rules.redundancy,
        )

    def _fit(self, importance: list[Tensor], measured: MeasuredShare) -> Share:
        """Divide a budget that is measured: the limit is that of the network that came nearest."""
        found = measured.nearest(
            lambda limit: self._share(importance, limit).keep,
            self._limit,
            self._budget.cost,
            self._floors,
        )
        self._limit = found.limit
        used = found.used * measured.share
        if 1 - TOLERANCE <= found.used <= 1:
            return Share(found.keep, used, None)
        obstacle = (
            f"{used:.3f} of the {measured.name} is the nearest to {measured.share:g} that was "
            f"measured"
        )
        if found.used > 1:
            least = measured.used(self._floors) * measured.share
            layers = self._budget.in_the_way(self._floors)
            obstacle += f"; the least the layers can keep takes {least:.3f}"
            obstacle += f": {layers}" if layers else ""
        return Share(found.keep, used, obstacle)

    def space(self) -> Space:
        """The architectures within the budget."""
        rules = self._budget.rules
        blocks = [group.blocks for group in self._draw.groups]
        sizes = self._budget.sizes
        return Space(
            sizes,
            self._floors,
            [steps_of(size, block, rules.multiple) for size, block in zip(sizes, blocks)],
            blocks,
            self._budget.cost,
            float(self._limit),
        )

    def refitted(self, keep: Sequence[int]) -> list[int]:
        """An architecture of the space, corrected until it uses what it may, as measured.

        Parameters
        ----------
        keep
            How many clusters each group keeps.

        Returns
        -------
        list
            The same numbers where no resource is measured.
        """
        measured = self._budget.measured
        if measured is None:
            return list(keep)
        space = self.space()

        def keep_at(limit: float) -> list[int]:
            return [int(count) for count in replace(space, budget=limit).fit([keep])[0]]

        return measured.nearest(keep_at, space.budget, space.cost, self._floors).keep

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
        for index, (count, group) in enumerate(zip(keep, self._draw.groups)):
            if group.frozen:
                continue
            size = group.size // group.blocks
            kept = count // group.blocks
            # half a cluster more, as NNI rounds the number of removed clusters down
            ratio = (size - kept + 0.5) / size if kept < size else 0.0
            changes: dict[str, Any] = {"sparse_ratio": ratio}
            if group.alike:  # so that NNI draws once for all its layers
                together = len(group.layers) > 1 or group.blocks > 1
                changes["dependency_group_id"] = f"cluster group {index}" if together else None
                changes["internal_metric_block"] = group.blocks
            for layer in group.layers:
                space = self._spaces.get(layer, {}).get("weight")
                if space is None:
                    continue
                set_settings(space, {**settings_of(space), **changes})


def _worths(budget: Budget, draw: ClusterDraw) -> list[float]:
    """Worth of the clusters of each group, by where the network first calls one of its layers."""
    order = {layer: place for place, layer in enumerate(budget.graph.outputs)}
    first = {
        index: _place(budget.graph, index, order)
        for index, group in enumerate(draw.groups)
        if not group.frozen
    }
    ranked = sorted(first, key=first.__getitem__)
    depths = {index: rank / max(len(ranked) - 1, 1) for rank, index in enumerate(ranked)}
    worths = budget.rules.worth
    return [_worth_at(depths.get(index, 0.5), *worths) for index in range(len(draw.groups))]


def _place(graph: ClusterGraph, group: int, order: Mapping[str, int]) -> int:
    """Where in the order of the layers the clusters of a group are first used."""
    layers = graph.groups[group].layers or graph.readers[group]
    if layers:
        return min(order[layer] for layer in layers)
    calls = list(graph.structure.input_shapes)  # as the units of one LSTM that another one reads
    module = graph.module_of(group)
    before = calls[: calls.index(module)] if module in calls else []
    return max((order[layer] for layer in before if layer in order), default=0)


def _worth_at(depth: float, early: float, late: float) -> float:
    """Worth at a depth in [0, 1]: `early` at 0, 1 at 0.5 and `late` at 1; in proportion between."""
    return math.exp(
        math.log(early) * max(0.0, 1 - 2 * depth) + math.log(late) * max(0.0, 2 * depth - 1)
    )
