"""A budget for the whole network, shared out over the layers of a pruner as NNI's own sparse ratios."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch
from nni.compression.pruning.tools import generate_sparsity

from ..evolution.selection import RESOURCES
from ..graph.cluster_graph import ClusterGraph
from ..graph.latency import layer_latency, ratio
from . import screening
from .functional.allocation import Share, share
from .sampler import is_active

_log = logging.getLogger(__name__)

# Several resources are one cost by this norm of used / allowed: all are kept, the scarcest to 2 % or less.
NORM = 32
# A measured latency is met within this share of it; so often is the budget corrected by what was measured.
TOLERANCE, CORRECTIONS = 0.03, 8


def _bare(network: torch.nn.Module) -> torch.nn.Module:
    """A copy without the wrappers that another compressor left on the network."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if hasattr(module, "_nni_wrapper"):
            module._nni_wrapper.unwrap()
    return network


def _shares(budget: Any) -> dict[str, float]:
    """The budget, checked."""
    if not isinstance(budget, Mapping) or not budget or not set(budget) <= set(RESOURCES):
        raise ValueError(
            f"budget must be {{resource: share}} with resources of {', '.join(RESOURCES)}, but got {budget!r}"
        )
    for resource, part in budget.items():
        if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 < part <= 1:
            raise ValueError(f"a budget must be a share in (0, 1], but got {part!r} of {resource}")
    if "latency" in budget and len(budget) > 1:
        raise ValueError(f"a budget of latency stands alone, as it is measured, but got {budget!r}")
    return dict(budget)


def _worth_at(depth: float, early: float, late: float) -> float:
    """Worth at a depth in [0, 1]: `early` at 0, 1 in the middle, `late` at 1, in equal proportions between."""
    return math.exp(
        math.log(early) * max(0.0, 1 - 2 * depth) + math.log(late) * max(0.0, 2 * depth - 1)
    )


class Resources:
    """What an offspring may use.

    Parameters
    ----------
    network
        The ancestor, before NNI wraps it.
    example_input
        One batch of inputs.
    budget
        {resource: share}: ``{"macs": 0.4}`` keeps 40 % of the multiply-accumulates, ``{"parameters": 0.1, "macs": 0.4}``
        keeps to both. Resources: parameters, macs, or latency alone: the time of a forward pass over `example_input`,
        measured beside the ancestor's on the device it is on.
    floor
        Least number of clusters a layer keeps.
    multiple
        Kept numbers of clusters are multiples of this where that costs nothing.
    worth
        What the clusters of the first and of the last layers are worth, times that of the layers in the middle; of those
        between, in proportion.
    redundancy
        How far the clusters of a layer make up for each other, see :func:`nni_stress.pruning.functional.allocation.share`.

    Raises
    ------
    ValueError
        If the budget is no such shares, or the network cannot be followed.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        example_input: Any,
        budget: Mapping[str, float],
        floor: int = 1,
        multiple: int = 1,
        worth: tuple[float, float] = (1.0, 1.0),
        redundancy: float = 1.0,
    ):
        shares = _shares(budget)
        if example_input is None:
            raise ValueError("a budget needs example_input, to follow the network, but got none")
        self.graph = ClusterGraph(network, example_input)
        self.sizes = [group.clusters for group in self.graph.groups]
        self._ancestor, self._inputs = None, self.graph.inputs
        if len(shares) > 1:
            self.cost, self.budget = self._together(shares), 1.0
        else:
            ((resource, self._part),) = shares.items()
            if resource == "latency":
                self._ancestor = _bare(network)
            self.cost = (
                layer_latency(self.graph, self._ancestor)
                if self._ancestor
                else getattr(self.graph, resource)
            )
            self.budget = self._part * self.cost(self.sizes)
        self._floor, self._multiple = floor, multiple
        self._worth, self._redundancy = worth, redundancy

    def _together(self, shares: dict[str, float]) -> Callable[[Sequence[int]], float]:
        """One cost of several resources: at most 1 where each keeps to its share."""
        costs = {resource: getattr(self.graph, resource) for resource in shares}
        parts = [(cost, shares[resource] * cost(self.sizes)) for resource, cost in costs.items()]
        return lambda keep: (
            sum((cost(keep) / allowed) ** NORM for cost, allowed in parts) ** (1 / NORM)
        )

    def open_to(self, target_spaces: dict) -> None:
        """Take note of which groups may lose clusters: those all of whose layers the pruner's config names."""
        self._spaces = target_spaces
        self.blocks, self.frozen, self._members = [], [], []
        for group in self.graph.groups:
            spaces = [target_spaces.get(layer, {}).get("weight") for layer in group.layers]
            followed = [space is not None and is_active(space) for space in spaces]
            self.frozen.append(group.frozen or not all(followed) or not spaces)
            self.blocks.append(group.blocks)
            self._members.append(list(group.layers))
        self.floors = [
            size if frozen else min(size, -(-max(self._floor, blocks) // blocks) * blocks)
            for size, frozen, blocks in zip(self.sizes, self.frozen, self.blocks)
        ]
        order = list(self.graph.input_shapes())  # as the network calls its layers
        first = {
            index: min(order.index(layer) for layer in members)
            for index, (members, frozen) in enumerate(zip(self._members, self.frozen))
            if not frozen
        }
        ranked = sorted(first, key=first.get)
        depths = {index: rank / max(len(ranked) - 1, 1) for rank, index in enumerate(ranked)}
        self._worths = [
            _worth_at(depths.get(index, 0.5), *self._worth) for index in range(len(self.sizes))
        ]
        self.set_keep(self.sizes)  # from now on NNI's rules know which layers go together

    def share_out(self, strengths: dict, measured: Container[str] = ()) -> list[int]:
        """Share the budget out by importance, the square of strength, and make NNI's rules keep to it.

        Parameters
        ----------
        strengths
            {module: {target: strength of each cluster}}.
        measured
            The layers whose strengths compare with those of other layers, as Taylor importance does. Magnitudes compare
            within a layer only, and are taken relative to its mean: such a layer counts as one of typical strength.

        Returns
        -------
        list
            How many clusters each group keeps.
        """
        means = [
            float(strengths[layer]["weight"].mean())
            for members, frozen in zip(self._members, self.frozen)
            if not frozen
            for layer in members
            if layer in measured
        ]
        typical = sum(means) / len(means) if means else 1.0
        importance = []
        for size, frozen, members, worth in zip(
            self.sizes, self.frozen, self._members, self._worths
        ):
            total = torch.zeros(size)
            for layer in () if frozen else members:
                strength = strengths[layer]["weight"].detach().flatten().float().cpu()
                if layer not in measured:
                    strength = typical * strength / strength.mean().clamp(min=1e-30)
                total += strength**2
            importance.append(worth * total)
        found = (
            self._share(importance)
            if self._ancestor is None
            else self._share_by_the_clock(importance)
        )
        if found.obstacle:
            _log.warning("the budget is missed: %s", found.obstacle)
        self.set_keep(found.keep)
        return found.keep

    def _share(self, importance) -> Share:
        return share(
            importance,
            self.cost,
            self.budget,
            floor=self._floor,
            multiple=self._multiple,
            frozen=self.frozen,
            blocks=self.blocks,
            redundancy=self._redundancy,
        )

    def _share_by_the_clock(self, importance) -> Share:
        """Correct the budget of the layers' latency until a network of that shape takes the time it may take.

        Where even the smallest takes longer, to be nearly as fast is enough: nothing is lost for no gain.
        """
        least = self._latency(self.floors)
        target, best, known = max(self._part, (1 + TOLERANCE) * least), None, set()
        for _ in range(CORRECTIONS):
            found = self._share(importance)
            if tuple(found.keep) in known:
                break
            known.add(tuple(found.keep))
            used = self._latency(found.keep)
            if best is None or abs(used - target) < abs(best.cost - target):
                best, budget = Share(found.keep, used, None), self.budget
            if (1 - TOLERANCE) * target <= used <= target:
                break
            self.budget *= (1 - TOLERANCE / 2) * target / used
        self.budget, missed = (
            budget,
            f"{best.cost:.3f} of the latency is the nearest to {self._part:g} that was measured",
        )
        if target > self._part:
            missed += f"; the least the layers can keep takes {least:.3f}"
        return best._replace(
            obstacle=missed if abs(best.cost / self._part - 1) > TOLERANCE else None
        )

    def _latency(self, keep) -> float:
        return ratio(self.graph.resized(self._ancestor, keep), self._ancestor, self._inputs)

    def set_keep(self, keep: list[int]) -> None:
        """Make NNI's rules keep these numbers of clusters, in layers that go together the same ones."""
        for index, (count, size, frozen, blocks, members) in enumerate(
            zip(keep, self.sizes, self.frozen, self.blocks, self._members)
        ):
            if frozen:
                continue
            per, kept = size // blocks, count // blocks
            # half a cluster more, as NNI rounds the number of removed clusters down
            ratio = (per - kept + 0.5) / per if kept < per else 0.0
            together = f"cluster group {index}" if len(members) > 1 or blocks > 1 else None
            for layer in members:
                space = self._spaces[layer]["weight"]
                space._setting = {
                    **space._setting,
                    "sparse_ratio": ratio,
                    "dependency_group_id": together,
                    "internal_metric_block": blocks,
                }

    def screen(
        self, keep: list[int], number: int, draw, show, judge: screening.Screen, generator
    ) -> dict:
        """Draw candidates around an architecture, judge each through masks alone, and keep to the best.

        Parameters
        ----------
        keep
            The architecture to draw around.
        number
            How many candidates.
        draw
            Draws the scores that NNI's rules rank clusters by, anew at each call.
        show
            Puts masks on the network, and returns it.
        judge
            The screen.

        Returns
        -------
        dict
            The scores of the best candidate.
        """
        multiples = [
            max(blocks, self._multiple if size >= self._multiple else 1)
            for blocks, size in zip(self.blocks, self.sizes)
        ]
        options = screening.candidates(
            keep, self.sizes, self.floors, multiples, self.cost, self.budget, number, generator
        )
        scores = [draw() for _ in options]

        def loss(option: int, examples: int) -> float:
            self.set_keep(options[option])
            return judge(show(generate_sparsity(scores[option], self._spaces)), examples)

        best = screening.fittest(len(options), loss, judge.examples)
        self.set_keep(options[best])
        return scores[best]
