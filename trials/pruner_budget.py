"""How NNI's pruners are brought to a budget: which layers they prune, and by which ratio."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nni.compression import pruning
from torch import Tensor, nn

from nni_stress import Task
from nni_stress.graph.cluster_graph import ClusterGraph

Masks = dict[str, dict[str, Tensor]]  # by layer and target, such as "weight"

_UNITS = {"parameters": "synapses", "macs": "MACs"}
_SEARCH_STEPS = 24  # of the bisection; the ratio is then exact to 1e-7


class PruningJob(NamedTuple):
    """What a pruner has to do.

    Attributes
    ----------
    network
        Network to prune.
    task
        Task of the network.
    graph
        Which clusters (output channels or neurons) of the network are removed together.
    allowed
        Number of synapses (weights), or of multiply-accumulates, to leave at most.
    knobs
        Hyperparameters of the pruner.
    seed
        Seed of the training that the pruner needs.
    resource
        What the budget is of: "parameters" or "macs".
    """

    network: nn.Module
    task: Task
    graph: ClusterGraph
    allowed: float
    knobs: Mapping[str, Any]
    seed: int
    resource: str = "parameters"

    def used(self, masks: Masks) -> float:
        """How much of the resource a network uses that keeps what the masks keep."""
        kept = _kept_clusters(self.graph, masks)
        return self.graph.macs(kept) if self.resource == "macs" else self.graph.parameters(kept)


def layer_config(job: PruningJob, ratio: float, scope: str, **more: Any) -> list[dict[str, Any]]:
    """NNI's config list for all layers that may lose clusters.

    Layers that lose the same clusters form one of NNI's dependency groups.

    Parameters
    ----------
    job
        Network and task.
    ratio
        Share of the clusters to remove.
    scope
        "uniform": the ratio holds for each layer; "global": it holds for a ranking of all clusters.
    more
        Further entries for each layer.

    Returns
    -------
    list of dict
        The config list.
    """
    named = set(named_layers(job))
    groups = [
        group.layers for group in job.graph.groups if group.layers and set(group.layers) <= named
    ]
    config = []
    for number, layers in enumerate(groups):
        entry = {"op_names": list(layers), "sparse_ratio": ratio, **more}
        if len(layers) > 1:
            entry["dependency_group_id"] = f"group{number}"
        elif scope == "global":
            entry["global_group_id"] = "all"
        config.append(entry)
    return config


def named_layers(job: PruningJob) -> list[str]:
    """Names of the layers that the task's config selects, by NNI's own rules."""
    config = [{**job.task.clusters, "sparse_ratio": 0.5}]
    return list(_target_spaces(pruning.LevelPruner(copy.deepcopy(job.network), config)))


class BudgetSearch:
    """Makes a pruner choose the ratio that meets the budget, whenever it draws its masks.

    The ratio is found by bisection, with the pruner's own metrics.

    Parameters
    ----------
    pruner
        A pruner of NNI; changed in place.
    job
        Network and budget.
    final_ratio
        Ratio that a schedule approaches step by step. Below it the pruner keeps the schedule's
        ratio; the search begins once it is reached. None searches each time.

    Attributes
    ----------
    ratio
        The ratio found last.
    """

    def __init__(self, pruner: Any, job: PruningJob, final_ratio: float | None = None) -> None:
        self.ratio = final_ratio or 0.0
        self._job = job
        self._final_ratio = final_ratio
        self._spaces = [
            space
            for targets in _target_spaces(pruner).values()
            for space in targets.values()
            if space.sparse_ratio is not None
        ]
        self._generate = _replace_mask_generation(pruner, self._draw_masks)

    def _draw_masks(self, metrics: Masks) -> Masks:
        asked = self._spaces[0].sparse_ratio
        if self._final_ratio is not None and asked < self._final_ratio - 1e-9:
            return _keep_strongest(self._generate(metrics), metrics)
        low, high, best = 0.0, 1.0, None
        for _ in range(_SEARCH_STEPS):
            middle = (low + high) / 2
            masks = self._masks_at(middle, metrics)
            used = self._job.used(masks)
            if used > self._job.allowed:
                low = middle
            else:
                high, best = middle, masks
        self._set_ratio(asked)
        if best is None:
            raise ValueError(
                f"no ratio leaves {self._job.allowed:.0f} {_UNITS[self._job.resource]}: "
                f"{used:.0f} stay"
            )
        self.ratio = high
        return best

    def _masks_at(self, ratio: float, metrics: Masks) -> Masks:
        self._set_ratio(ratio)
        return _keep_strongest(self._generate(metrics), metrics)

    def _set_ratio(self, ratio: float) -> None:
        for space in self._spaces:
            space.sparse_ratio = ratio


def _target_spaces(pruner: Any) -> dict[str, dict[str, Any]]:
    return pruner._target_spaces  # noqa: SLF001, NNI has no public way to read or change ratios


def _replace_mask_generation(
    pruner: Any, replacement: Callable[[Masks], Masks]
) -> Callable[[Masks], Masks]:
    original, pruner._generate_sparsity = pruner._generate_sparsity, replacement  # noqa: SLF001, NNI has no hook here
    return original


def _kept_clusters(graph: ClusterGraph, masks: Masks) -> list[int]:
    """Number of clusters that each group keeps."""
    return [
        int(masks[group.layers[0]]["weight"].flatten(1).any(1).sum())
        if group.layers and group.layers[0] in masks
        else group.clusters
        for group in graph.groups
    ]


def _keep_strongest(masks: Masks, metrics: Masks) -> Masks:
    """Let each layer keep at least its strongest cluster; a global ranking might keep none."""
    for layer, targets in masks.items():
        if not targets["weight"].any():
            strongest = metrics[layer]["weight"].flatten().argmax()
            for mask in targets.values():
                if mask is not None:
                    mask[strongest] = 1
    return masks
