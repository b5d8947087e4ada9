"""Which clusters a network keeps, drawn once for all layers and tensors that have them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..graph.cluster_graph import ClusterGraph
from ..graph.grouping import must_be_named, output_dim
from ..graph.slicing import balanced
from ..utils.devices import on_device
from .cluster_strengths import mean_at, on_cpu, rows_of, summed
from .functional import survival
from .targets import Masks, TargetSpaces, is_active, settings_of

_EXTRA = "clusters of group"
_CLUSTERS = "clusters"


@dataclass(frozen=True)
class DrawnGroup:
    """A group of clusters as the config list of a pruner allows it to lose some.

    Parameters
    ----------
    size
        Number of clusters.
    blocks
        The clusters are divided into this many equal parts, which lose the same number each.
    frozen
        Whether the config list leaves out one of its layers, so that all clusters must stay.
    layers
        For each layer of it, the position in the group of the cluster of each output; -1 for
        outputs of other groups.
    """

    size: int
    blocks: int
    frozen: bool
    layers: Mapping[str, Tensor]

    @property
    def alike(self) -> bool:
        """Whether all its layers have the group's clusters for outputs, in the same order."""
        order = torch.arange(self.size)
        return all(torch.equal(places, order) for places in self.layers.values())


class ClusterDraw:
    """Makes masks of scores, the same clusters in all layers and tensors that have them.

    Parameters
    ----------
    graph
        The cluster graph of the network.
    network
        The network, before it is wrapped.
    spaces
        All targets of the pruner.
    ratios
        {name: sparse ratio} of recurrent layers and attentions that the config list names.

    Attributes
    ----------
    graph : ClusterGraph
        The cluster graph.
    groups : list of DrawnGroup
        The groups of the graph.
    others : dict
        Targets of modules that are no layers of the graph; their masks are left to NNI's rules.
    removed : set of int
        The clusters that the masks made last remove, by the graph's numbers.
    """

    def __init__(
        self,
        graph: ClusterGraph,
        network: nn.Module,
        spaces: TargetSpaces,
        ratios: Mapping[str, float] | None = None,
    ):
        self.graph = graph
        self._ratios = ratios or {}
        self._spaces = spaces
        named = {*filter(self._is_named, graph.outputs), *self._ratios}
        self._may_lose = may_lose(graph, network, named)
        self._observed = {
            layer: torch.tensor(clusters)
            for layer, clusters in graph.outputs.items()
            if self._is_named(layer)
        }
        self._dims = {layer: output_dim(network.get_submodule(layer)) for layer in graph.outputs}
        self.removed: set[int] = set()
        self._aligned = {
            (module, target): align
            for module, targets in spaces.items()
            if module not in graph.outputs
            for target, space in targets.items()
            if (align := settings_of(space).get("align") or {}).get("module_name") in graph.outputs
        }
        self.others = {
            module: {t: own for t, own in targets.items() if (module, t) not in self._aligned}
            for module, targets in spaces.items()
            if module not in graph.outputs
        }
        self.groups = [
            self._group(index, group.blocks, clusters)
            for index, (group, clusters) in enumerate(zip(graph.groups, graph.clusters))
        ]
        self._unnamed = {
            index: rows_of(graph, clusters)
            for index, (group, clusters) in enumerate(zip(self.groups, graph.clusters))
            if not any(self._is_named(layer) for layer in group.layers)
        }

    @property
    def others_active(self) -> bool:
        """Whether modules that are no layers of the graph have a sparsity to reach."""
        return any(
            is_active(space) for targets in self.others.values() for space in targets.values()
        )

    def _group(self, index: int, blocks: int, clusters: Sequence[int]) -> DrawnGroup:
        position = np.full(len(self.graph.structure.roots), -1)
        position[clusters] = np.arange(len(clusters))
        layers = self.graph.groups[index].layers
        places = {layer: torch.from_numpy(position[self.graph.outputs[layer]]) for layer in layers}
        return DrawnGroup(len(clusters), blocks, not self._may_lose[index], places)

    def _is_named(self, layer: str) -> bool:
        space = self._spaces.get(layer, {}).get("weight")
        return space is not None and is_active(space)

    def unnamed_strengths(self, parameters: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """Strength of the clusters of groups that are the outputs of no layer, as attention heads.

        Parameters
        ----------
        parameters
            The network's parameters by name.

        Returns
        -------
        dict
            {index of the group: sum of the absolute weights of each cluster}
        """
        return {
            index: summed(rows, parameters, self.groups[index].size)
            for index, rows in self._unnamed.items()
            if not self.groups[index].frozen
        }

    def unnamed_scores(
        self, strengths: Mapping[int, Tensor], temperature: float, generator: torch.Generator
    ) -> Masks:
        """Scores of the groups that are the outputs of no layer, in the form of a target's."""
        return {
            f"{_EXTRA} {index}": {
                _CLUSTERS: survival.drawn_strength(strength, temperature, generator)
            }
            for index, strength in strengths.items()
        }

    def per_cluster(self, index: int, values: Masks) -> Tensor | None:
        """Mean of values over the layers, and over the outputs, that a group's clusters have.

        Parameters
        ----------
        index
            Index of the group.
        values
            {module name: {"weight": value of each output}}

        Returns
        -------
        torch.Tensor or None
            A value for each cluster; None if no layer of the group has values.
        """
        group = self.groups[index]
        extra = values.get(f"{_EXTRA} {index}")
        if extra is not None:
            return extra[_CLUSTERS]
        found = []
        for layer, places in group.layers.items():
            value = values.get(layer, {}).get("weight")
            if value is not None:
                found.append(mean_at(places, value.detach().flatten().float().cpu(), group.size))
        return torch.stack(found).mean(0) if found else None

    def strengths(
        self, values: Masks, parameters: Mapping[str, Tensor]
    ) -> Mapping[Hashable, Tensor]:
        """Strength of each cluster of the groups that may lose some, on the CPU.

        Parameters
        ----------
        values
            {module name: {"weight": strength of each output}}
        parameters
            The network's parameters by name.
        """
        own = {layer for group in self.groups if not group.frozen for layer in group.layers}
        fetched = on_cpu({layer: values[layer]["weight"] for layer in own if layer in values})
        unnamed = self.unnamed_strengths(parameters)
        found: dict[Hashable, Tensor] = {index: unnamed[index] for index in unnamed}
        for index, group in enumerate(self.groups):
            if index not in found and not group.frozen:
                strength = self.per_cluster(index, fetched)
                found[index] = torch.ones(group.size) if strength is None else strength
        return found

    def per_output(self, values: Tensor) -> Masks:
        """Values of all clusters as values of the outputs of the layers that are named.

        Parameters
        ----------
        values
            Value of each cluster by its number, on the CPU.

        Returns
        -------
        dict
            {module name: {"weight": value of each output}}, on the device of a weight.
        """
        if not self._observed:
            return {}
        device = self._spaces[next(iter(self._observed))]["weight"].target.device
        gathered = values[torch.cat(list(self._observed.values()))].float()
        parts = on_device(gathered, device).split([len(row) for row in self._observed.values()])
        return {layer: {"weight": part} for layer, part in zip(self._observed, parts)}

    def lost(self, scores: Masks, keep: Sequence[int]) -> set[int]:
        """The clusters that are removed where each group keeps those of the highest scores.

        Parameters
        ----------
        scores
            Score of each output of the layers.
        keep
            How many clusters each group keeps.
        """
        gone: set[int] = set()
        for index, (group, clusters) in enumerate(zip(self.groups, self.graph.clusters)):
            score = self.per_cluster(index, scores)
            if group.frozen or score is None or keep[index] >= group.size:
                continue
            size = group.size // group.blocks
            lost = size - keep[index] // group.blocks
            ranked = score.view(group.blocks, size)
            ranked = ranked.argsort(dim=1, descending=True, stable=True)
            weakest = ranked[:, size - lost :]  # of equal ones the last
            starts = torch.arange(group.blocks)[:, None] * size
            gone.update(clusters[place] for place in (weakest + starts).flatten().tolist())
        return balanced(self.graph, gone)

    def masks(self, scores: Masks, keep: Sequence[int], masks: Masks) -> Masks:
        """Let each group keep its clusters of the highest scores.

        Parameters
        ----------
        scores
            Score of each output of the layers.
        keep
            How many clusters each group keeps.
        masks
            Masks of all targets, changed in place.

        Returns
        -------
        dict
            The masks. What they remove is in `removed`.
        """
        self.removed = self.lost(scores, keep)
        for layer, clusters in self.graph.outputs.items():
            if layer in self._spaces:
                self._mask(layer, clusters, masks)
        for (module, target), align in self._aligned.items():
            like = masks[align["module_name"]][align["target_name"]]
            kept = {dim % like.dim() for dim in align["dims"]}
            others = [dim for dim in range(like.dim()) if dim not in kept]
            own = like.amax(others) if others else like
            shape = tuple(self._spaces[module][target].shape)
            masks.setdefault(module, {})[target] = own.expand(shape)
        return masks

    def _mask(self, layer: str, clusters: Sequence[int], masks: Masks) -> None:
        dim = self._dims[layer]
        alive = torch.tensor([float(cluster not in self.removed) for cluster in clusters])
        for target, space in self._spaces[layer].items():
            old = masks.get(layer, {}).get(target)
            if target == "weight" and dim is not None:
                shape = [-1 if index == dim else 1 for index in range(len(space.shape))]
                own = alive.view(shape)
            elif target == "bias" and space.target is not None:
                own = alive
            else:
                continue
            like = space.target if old is None else old
            device = "cpu" if like.is_meta else like.device  # there, masks would have no values
            mask = own.to(device=device, dtype=like.dtype).expand(tuple(space.shape))
            masks.setdefault(layer, {})[target] = mask

    def keep_by_ratio(self) -> list[int]:
        """How many clusters each group keeps by the ratios of its layers.

        Where the ratios of layers that must agree differ, it is their mean. Groups that the config
        list does not name keep all.
        """
        keep = []
        for index, group in enumerate(self.groups):
            ratios = [
                settings_of(self._spaces[layer]["weight"]).get("sparse_ratio") or 0.0
                for layer in group.layers
                if self._is_named(layer)
            ]
            ratios += [self._ratios[layer] for layer in group.layers if layer in self._ratios]
            if not group.layers and (module := self.graph.module_of(index)) in self._ratios:
                ratios = [self._ratios[module]]
            ratio = 0.0 if group.frozen or not ratios else sum(ratios) / len(ratios)
            size = group.size // group.blocks
            keep.append((size - min(int(size * ratio), size - 1)) * group.blocks)
        return keep


def may_lose(graph: ClusterGraph, network: nn.Module, named: Set[str]) -> list[bool]:
    """Whether each group may lose clusters, by the layers that a config list names.

    All layers of a group must be named, but embeddings, which go with the layers that they meet. Of
    a group that is the outputs of no layer, as attention heads, its module or one that reads it.

    Parameters
    ----------
    graph
        The cluster graph of the network.
    network
        The network.
    named
        Names of the layers that the config list selects.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> may_lose(ClusterGraph(network, torch.rand(1, 2)), network, {"2"})
    [False]
    """
    asked = {layer for layer in graph.outputs if must_be_named(network.get_submodule(layer))}
    found = []
    for index, group in enumerate(graph.groups):
        own = asked.intersection(group.layers)
        readers = {*graph.readers[index], graph.module_of(index)}
        found.append(own <= named if own else not named.isdisjoint(readers))
    return found
