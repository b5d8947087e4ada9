"""Stress on the clusters of a network, where synthesis removes them: also on heads and units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Set
from typing import Any

import numpy as np
import torch
from nni.compression.base.wrapper import ModuleWrapper
from numpy.typing import NDArray
from torch import Tensor, nn

from ..graph.cluster_factors import ClusterFactors
from ..nni_compat.bypass import Bypass
from .cluster_draw import ClusterDraw
from .sampler import Offspring, Sampler
from .stressed import Ranks, in_several_processes
from .stressors.base import Coming
from .targets import Masks


class StressedClusters:
    """The groups of clusters that may lose some, under stress.

    A cluster feels stress where it is read, behind its norm and activation. The layers run without
    NNI's wrappers meanwhile, as far as these have nothing to mask.

    Parameters
    ----------
    network
        The wrapped network.
    wrappers
        The wrappers of its layers that have lost nothing yet.
    draw
        Knows the groups.
    sampler
        Gives the strengths of the clusters.
    removed_by
        Returns the clusters that an offspring loses.
    directly
        Clusters that other modules than layers read, see :class:`ClusterFactors`.
    """

    def __init__(
        self,
        network: nn.Module,
        wrappers: Collection[ModuleWrapper],
        draw: ClusterDraw,
        sampler: Sampler,
        removed_by: Callable[[Offspring], Set[int]],
        directly: Collection[int],
    ):
        self._wrappers = wrappers
        self._draw = draw
        self._sampler = sampler
        self._removed_by = removed_by
        self._clusters: dict[Hashable, NDArray[np.int64]] = {
            index: np.array(clusters) for index, clusters in enumerate(draw.graph.clusters)
        }
        self._values = np.ones(len(draw.graph.structure.roots))
        self._gone = set(draw.removed)
        self._values[list(self._gone)] = 0
        self._factors = ClusterFactors(network, draw.graph.structure, directly)
        self._bypass = Bypass(())
        self.modules: dict[Hashable, tuple[str, ...]] = {
            index: tuple(group.layers) or (draw.graph.module_of(index),)
            for index, group in enumerate(draw.groups)
            if not group.frozen
        }

    def start(self) -> None:
        """Let layers run without their wrappers, before the first step."""
        if not in_several_processes():  # there, NNI keeps the buffers of wrapped layers alike
            self._bypass = Bypass(self._wrappers)

    def strengths(self, observed: Masks) -> Mapping[Hashable, Tensor]:
        """Strength of each cluster of a group, on the CPU."""
        return self._sampler.cluster_strengths(self._draw, observed)

    def ranks(self, offspring: Offspring) -> Ranks:
        """Ranks and numbers of clusters by the coming offspring."""
        removed = self._removed_by(offspring)
        found: Ranks = {}
        for index in self.modules:
            assert isinstance(index, int)
            score = self._draw.per_cluster(index, offspring.scores)
            if score is None:
                continue
            clusters = self._draw.graph.clusters[index]
            lost = torch.tensor([cluster in removed for cluster in clusters])
            gone = torch.tensor([cluster in self._gone for cluster in clusters]) | score.isneginf()
            rank = _rank(score, lost, gone, self._draw.groups[index].blocks)
            survivors = max(1, int((~lost).sum()))
            found[index] = Coming(rank, survivors, max(survivors, int((~gone).sum())))
        return found

    def put_on(self, factors: Mapping[Hashable, Tensor | None]) -> None:
        """Apply factors of the clusters of some groups; None for no stress."""
        for index, factor in factors.items():
            self._values[self._clusters[index]] = 1 if factor is None else factor.numpy()
        self._values[list(self._gone)] = 0
        self._factors.put_on(self._values)

    def felt(self) -> Masks:
        """Factors of the outputs of layers, as nothing is masked."""
        return self._draw.per_output(torch.from_numpy(self._values))

    def decay(self, factors: Mapping[Hashable, Tensor]) -> None:
        """Multiply the weights that read clusters by factors."""
        values = np.ones_like(self._values)
        for index, factor in factors.items():
            values[self._clusters[index]] = factor.numpy()
        self._factors.scale(values)

    def take_off(self) -> None:
        """Let the network compute as the wrappers leave it."""
        self._factors.take_off()
        self._bypass.take_off()

    def state(self) -> Any:
        """The factors at present."""
        return torch.from_numpy(self._values)

    def restore(self, state: Any) -> None:
        """Apply what `state` returned."""
        self._values = state.numpy().copy()
        self._factors.put_on(self._values)


def _rank(score: Tensor, lost: Tensor, gone: Tensor, blocks: int) -> Tensor:
    """Rank of each cluster, 0 for the last one to be removed; blocks take turns.

    Those that the offspring loses come after all that it keeps, and those that are gone come last.
    """
    order = score.view(blocks, -1).argsort(dim=1, descending=True, stable=True)
    fate = (lost.long() + gone.long()).view(blocks, -1).gather(1, order)
    order = order.gather(1, fate.argsort(dim=1, stable=True))
    rank = torch.empty_like(order)
    rank.scatter_(1, order, torch.arange(order.shape[1]).expand_as(order).contiguous())
    return (rank * blocks + torch.arange(blocks)[:, None]).flatten()
