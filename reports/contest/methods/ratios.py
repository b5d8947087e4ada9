"""Sparse ratios with which pruners of NNI meet a budget: one for all layers, or one ranking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .limits import Keep, Limit

Masks = dict[str, dict[str, Tensor]]  # by layer and target, such as "weight"
Ratios = dict[str, float]  # by layer

NOMINAL = 0.5  # sparse ratio that pruners are told where others will replace it
# Layers of the same width do not lose a cluster at the same ratio, but one after the other:
# otherwise a small network could use up to a tenth less than it may.
_APART = 1e-6


class Uniform:
    """Each layer loses the same share of its clusters, but never all of them.

    Parameters
    ----------
    limit
        The budget, and the groups that may lose clusters.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit

    def keep(self, removed: float) -> Keep:
        """What is kept at a sparse ratio."""
        keep = self._limit.sizes
        for place, index in enumerate(self._limit.free):
            group = self._limit.graph.groups[index]
            units = group.clusters // group.blocks
            gone = int(units * removed * (1 + place * _APART))
            keep[index] = group.blocks * max(1, units - gone)
        return keep

    def returning(self, removed: float) -> list[int]:
        """Each layer may keep one cluster more; what is then left goes to the widest layers."""
        free = self._limit.free
        sizes = self._limit.sizes
        widest = sorted(free, key=lambda index: -sizes[index])
        return [*free, *(index for index in widest for _ in range(sizes[index]))]


class Ranked:
    """The least important clusters of all layers go first; each layer keeps its most important.

    Parameters
    ----------
    limit
        The budget, and the groups that may lose clusters.
    metrics
        Importance of the clusters of each layer. That of a group is the mean of its layers'.
    """

    def __init__(self, limit: Limit, metrics: Masks) -> None:
        self._limit = limit
        ranks = [torch.zeros(0)]
        groups = []
        for index in limit.free:
            group = limit.graph.groups[index]
            own = [metrics[layer]["weight"].flatten().float().cpu() for layer in group.layers]
            # Blocks lose equally many clusters: the least important of each go together.
            units = torch.stack(own).mean(0).view(group.blocks, -1).sort(1).values.mean(0)[:-1]
            ranks.append(units)
            groups += [index] * len(units)
        self._order = [groups[place] for place in torch.cat(ranks).argsort(stable=True).tolist()]

    def keep(self, removed: float) -> Keep:
        """What is kept when a share of all clusters is removed."""
        keep = self._limit.sizes
        for index in self._order[: self._count(removed)]:
            keep[index] -= self._limit.graph.groups[index].blocks
        return keep

    def returning(self, removed: float) -> list[int]:
        """All clusters that are removed, the most important first."""
        return self._order[: self._count(removed)][::-1]

    def _count(self, removed: float) -> int:
        return int(removed * len(self._order))


def ratios_of(limit: Limit, keep: Keep) -> Ratios:
    """{layer: sparse ratio with which NNI keeps this number of its clusters}."""
    found = {}
    for index in limit.free:
        group = limit.graph.groups[index]
        gone = group.clusters - keep[index]
        # Half a unit more, as NNI rounds the number that it removes down.
        ratio = (gone + group.blocks / 2) / group.clusters if gone else 0.0
        found.update(dict.fromkeys(group.layers, ratio))
    return found


def config_of(limit: Limit, ratios: Mapping[str, float], **more: Any) -> list[dict[str, Any]]:
    """NNI's config list. Layers that lose the same clusters form a dependency group of NNI.

    Parameters
    ----------
    limit
        The groups that may lose clusters.
    ratios
        {layer: sparse ratio}
    more
        Further entries for each layer.
    """
    config = []
    for index in limit.free:
        group = limit.graph.groups[index]
        ratio = ratios[group.layers[0]]
        entry = {"op_names": list(group.layers), "sparse_ratio": ratio, **more}
        if len(group.layers) > 1 or group.blocks > 1:
            entry["dependency_group_id"] = f"group{index}"
            entry["internal_metric_block"] = group.blocks
        config.append(entry)
    return config


def normalised(metrics: Masks) -> Masks:
    """Importance of each cluster divided by its layer's mean.

    Norms of weights do not compare between layers: where inputs are many, weights are small.

    Examples
    --------
    >>> normalised({"fc": {"weight": torch.tensor([1.0, 3.0])}})
    {'fc': {'weight': tensor([0.5000, 1.5000])}}
    """
    return {
        layer: {
            target: metric / metric.float().mean().clamp(min=1e-30)
            for target, metric in targets.items()
        }
        for layer, targets in metrics.items()
    }


def rank_together(pruner: Any, limit: Limit) -> None:
    """Make a pruner rank the clusters of all layers together, whenever it draws its masks.

    Parameters
    ----------
    pruner
        A pruner of NNI, whose config has the ratio `NOMINAL` everywhere; changed in place.
    limit
        The budget.
    """

    def ratios_at(metrics: Masks, progress: float) -> Ratios:
        return ratios_of(limit, limit.met(Ranked(limit, metrics), progress))

    replace_ratios(pruner, ratios_at)


def replace_ratios(
    pruner: Any, ratios_at: Callable[[Masks, float], Ratios], comparable: bool = False
) -> None:
    """Replace a pruner's ratios by others, whenever it draws its masks.

    Parameters
    ----------
    pruner
        A pruner of NNI, whose config has the ratio `NOMINAL` everywhere; changed in place.
    ratios_at
        The ratios, by the importance of all layers, and by how far a schedule has come: the ratio
        that it asks for as a share of `NOMINAL`.
    comparable
        Whether importance compares between layers as it is. Otherwise it is normalised.
    """
    # NNI has no public way to change ratios.
    spaces = {layer: targets["weight"] for layer, targets in pruner._target_spaces.items()}  # noqa: SLF001
    generate = pruner._generate_sparsity  # noqa: SLF001

    def draw(metrics: Masks) -> Masks:
        asked = {layer: space.sparse_ratio for layer, space in spaces.items()}
        progress = max(asked.values()) / NOMINAL
        metrics = metrics if comparable else normalised(metrics)
        for layer, ratio in ratios_at(metrics, 1.0 if progress > 1 - 1e-9 else progress).items():
            spaces[layer].sparse_ratio = ratio
        masks: Masks = generate(metrics)
        for layer, ratio in asked.items():
            spaces[layer].sparse_ratio = ratio
        return masks

    pruner._generate_sparsity = draw  # noqa: SLF001
