"""Draws the masks of an offspring, under the rules of NNI's pruners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from nni.compression.base.target_space import PruningTargetSpace
from nni.compression.pruning.tools import generate_sparsity, norm_metrics
from torch import Tensor

from ..hparams import PrunerArguments
from .allocator import Allocator
from .cluster_draw import ClusterDraw
from .cluster_values import known_values
from .functional import survival
from .importances import IMPORTANCES
from .importances.base import Observer
from .inheritance import Inheritance
from .targets import (
    Masks,
    TargetSpaces,
    draw_key,
    group_of,
    is_active,
    is_parameter,
    ordered,
    other_settings,
    outputs_come_second,
    scaler_of,
    settings_of,
)


class Offspring(NamedTuple):
    """An offspring as drawn.

    Parameters
    ----------
    keep
        How many clusters each group keeps; None without a budget.
    scores
        {module name: {target name: scores by which NNI's rules rank the clusters}}

    Examples
    --------
    >>> Offspring(keep=None, scores={}).keep is None
    True
    """

    keep: list[int] | None
    scores: Masks


class Sampler:
    """Strengths of the clusters (output channels or neurons) of targets, and draws by them.

    Parameters
    ----------
    arguments
        Settings of the draw.
    spaces
        All targets of the pruner.
    inheritance
        What earlier generations removed.
    generator
        Generator of every random choice, on the CPU.
    draw
        Draws clusters for all layers that have them; None where the structure is not known, so that
        each layer loses clusters of its own.
    allocator
        Divides a budget for the whole network; None where the ratios of the config list hold.
    parameters
        The network's parameters by name, for clusters that are the outputs of no layer.

    Examples
    --------
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> register_scalers(spaces, lambda space: "out_channel")
    >>> inheritance = Inheritance({"layer": wrapper})
    >>> sampler = Sampler(PrunerArguments(), spaces, inheritance, torch.Generator())
    >>> offspring = sampler.draw(sampler.finite_strengths({}), {})
    >>> int(sampler.masks(offspring.scores)["layer"]["bias"].sum())
    2
    """

    def __init__(
        self,
        arguments: PrunerArguments,
        spaces: TargetSpaces,
        inheritance: Inheritance,
        generator: torch.Generator,
        draw: ClusterDraw | None = None,
        allocator: Allocator | None = None,
        parameters: Callable[[], Mapping[str, Tensor]] = dict,
    ):
        self._arguments = arguments
        self._importance = IMPORTANCES[arguments.strength]
        self._spaces = spaces
        self._inheritance = inheritance
        self._generator = generator
        self._draw = draw
        self._allocator = allocator
        self._parameters = parameters

    def learn(self, draw: ClusterDraw, scores: Masks | None) -> None:
        """From now on, draw clusters for all layers that have them.

        Parameters
        ----------
        draw
            Draws them.
        scores
            Scores that were drawn before; those of clusters that are the outputs of no layer are
            added.
        """
        self._draw = draw
        if scores is not None:
            scores.update(self._unnamed_scores(draw))

    def _unnamed_scores(self, draw: ClusterDraw) -> Masks:
        strengths = draw.unnamed_strengths(self._parameters())
        return draw.unnamed_scores(strengths, self._arguments.temperature, self._generator)

    def observer(self, total_steps: int) -> Observer:
        """Return a new observer of a training of that many optimizer steps."""
        return self._importance.observer(total_steps)

    def strengths(self, observed: Masks) -> Masks:
        """Strength of each cluster.

        Parameters
        ----------
        observed
            Strengths gathered while training, see
            :class:`nni_stress.pruning.importances.base.Observer`.
        """
        found = self._importance.strengths(self._spaces, observed)
        return {
            module: {target: known_values(values) for target, values in strengths.items()}
            for module, strengths in found.items()
        }

    def cluster_strengths(self, draw: ClusterDraw, observed: Masks) -> Mapping[Hashable, Tensor]:
        """Strength of each cluster of the groups that may lose some, by the group's index."""
        return draw.strengths(self.strengths(observed), self._parameters())

    def finite_strengths(self, observed: Masks) -> Masks:
        """Strength of each cluster, checked. On a GPU, the check waits for the device.

        Raises
        ------
        ValueError
            If a strength is NaN or infinite.
        """
        found = self.strengths(observed)
        for module_name, strengths in found.items():
            for target_name, strength in strengths.items():
                if not torch.isfinite(strength).all():
                    raise ValueError(
                        f"{module_name}.{target_name} must be finite to be drawn from, but holds "
                        f"NaN or infinite values"
                    )
        return found

    def mean_over_groups(self, strengths: Masks) -> Masks:
        """Strengths, averaged over layers that lose the same clusters, as NNI's rules do."""
        strengths = dict(strengths)
        groups: dict[Hashable, list[tuple[str, str]]] = defaultdict(list)
        for module, target, space in ordered(self._spaces):
            group = group_of(space)
            if group is not None and target in strengths.get(module, {}):
                groups[group].append((module, target))
        for members in groups.values():
            values = [strengths[module][target] for module, target in members]
            mean = torch.stack([value.flatten() for value in values]).mean(0)
            for (module, target), value in zip(members, values):
                strengths[module] = {**strengths[module], target: mean.view_as(value)}
        return strengths

    def draw(self, strengths: Masks, observed: Masks) -> Offspring:
        """Draw an offspring: divide the budget, if there is one, then draw scores.

        Parameters
        ----------
        strengths
            Strength of each cluster.
        observed
            The strengths among them that were gathered while training.
        """
        keep = None
        if self._allocator is not None:
            keep = self._allocator.share_out(strengths, observed, self._unnamed())
        return Offspring(keep, self.scores(strengths))

    def _unnamed(self) -> dict[int, Tensor]:
        return {} if self._draw is None else self._draw.unnamed_strengths(self._parameters())

    def scores(self, strengths: Masks) -> Masks:
        """Draw the scores by which NNI's rules rank clusters; removed clusters rank last."""
        inherited: Masks = {}
        for module, target in self._inheritance.removed:
            if target in strengths.get(module, {}):
                mask = self._inheritance.mask(module, target)
                inherited.setdefault(module, {})[target] = mask
        alive = norm_metrics(p=1, data=inherited, target_spaces=self._spaces)
        means = self.mean_over_groups(strengths)
        drawn: dict[Hashable, Tensor] = {}
        scores: Masks = defaultdict(dict)
        for module_name, target_name, space in ordered(self._spaces):
            if target_name not in strengths.get(module_name, {}):
                continue
            key = draw_key(module_name, target_name, space)
            if key not in drawn:  # NNI averages over a group: noise per layer would cancel out
                drawn[key] = self._score(space, means[module_name][target_name])
            own = drawn[key].view_as(strengths[module_name][target_name])
            if target_name in alive.get(module_name, {}):
                own = own.where(alive[module_name][target_name] > 0, -torch.inf)
            scores[module_name][target_name] = own
        if self._draw is not None:
            scores.update(self._unnamed_scores(self._draw))
        return scores

    def _score(self, space: PruningTargetSpace, strength: Tensor) -> Tensor:
        """Score each cluster of a target: its perturbed strength, or at least 1 if it survives."""
        temperature = self._arguments.temperature
        if self._arguments.sampling == "bernoulli":
            ratio = space.sparse_ratio
            factor = 1.0 if ratio is None else 1 - ratio
            probability = survival.survival_probability(strength, temperature, factor)
            survives = survival.bernoulli_survival(probability, self._generator) > 0
            return torch.where(survives, 1.0, strength / strength.max().clamp(min=1e-30) * 0.25)
        return survival.drawn_strength(strength, temperature, self._generator)

    def masks(self, scores: Masks) -> Masks:
        """Masks that NNI's rules make of drawn scores.

        Parameters
        ----------
        scores
            Scores as :meth:`scores` returns them.

        Returns
        -------
        dict
            {module name: {target name: mask of 0 and 1}}. No layer loses its last cluster.
        """
        if self._draw is not None and self.draws_clusters():
            keep = self._draw.keep_by_ratio() if self._allocator is None else self._allocator.kept
            masks = self._draw.masks(scores, keep, self._masks_by_nni(scores, self._draw.others))
        else:
            masks = self._masks_by_nni(scores, self._spaces)
        if self._arguments.synapse_sparsity:
            self._remove_synapses(masks)
        return masks

    def _masks_by_nni(self, scores: Masks, spaces: TargetSpaces) -> Masks:
        """Masks of some targets, by the rules of NNI's pruners."""
        scores = {module: targets for module, targets in scores.items() if module in spaces}
        changes: dict[str, Any] = {}
        if self._arguments.sampling == "bernoulli":
            changes = {
                "sparse_threshold": 0.5,
                "sparse_ratio": None,
                "global_group_id": None,
                "dependency_group_id": None,
            }
        active = [space for _, _, space in ordered(spaces) if is_active(space)]
        with other_settings(active, **changes) if changes else nullcontext():
            masks: Masks = generate_sparsity(scores, spaces)
        self._revive_dead_layers(masks, scores)
        return masks

    def draws_clusters(self) -> bool:
        """Whether whole clusters are drawn, as many as each layer says, not by another rule."""
        if self._allocator is not None:
            return True
        if self._arguments.sampling == "bernoulli" or not self.clusters_are_whole():
            return False
        layers = {} if self._draw is None else self._draw.graph.outputs
        return not any(
            _has_own_rule(space, module in layers) for module, _, space in ordered(self._spaces)
        )

    def clusters_are_whole(self) -> bool:
        """Whether what is drawn are outputs of layers, not synapses, kernels or inputs."""
        return self._arguments.encoding == "cluster" and all(
            _whole_clusters(space) for _, _, space in ordered(self._spaces) if is_active(space)
        )

    def _revive_dead_layers(self, masks: Masks, scores: Masks) -> None:
        """Restore the strongest cluster of every layer that would lose all."""
        for module_name, targets in scores.items():
            for target_name, score in targets.items():
                if masks[module_name][target_name].any():
                    continue
                with other_settings(
                    [self._spaces[module_name][target_name]],
                    sparse_ratio=(score.numel() - 0.5) / score.numel(),
                    sparse_threshold=None,
                    global_group_id=None,
                    dependency_group_id=None,
                    max_sparse_ratio=None,
                    min_sparse_ratio=None,
                ):
                    alone = generate_sparsity(scores, {module_name: self._spaces[module_name]})
                masks[module_name].update(alone[module_name])

    def _remove_synapses(self, masks: Masks) -> None:
        """Draw which synapses of surviving clusters are removed, an exact share per target."""
        temperature = self._arguments.temperature
        for module_name, target_name, space in ordered(self._spaces):
            if not is_active(space) or not is_parameter(space) or scaler_of(space) is None:
                continue
            mask = masks[module_name][target_name].expand(space.shape)
            alive = mask * self._inheritance.mask(module_name, target_name)
            strength = space.target.detach().abs()
            score = survival.drawn_strength(strength, temperature, self._generator)
            score = score.where(alive > 0, torch.inf).flatten()
            count = int(int(alive.count_nonzero()) * self._arguments.synapse_sparsity)
            removed = score.topk(count, largest=False).indices
            masks[module_name][target_name] = (
                alive.flatten().scatter(0, removed, 0.0).view(space.shape)
            )


_RULES = (
    "global_group_id",
    "sparse_threshold",
    "dependency_group_id",
    "min_sparse_ratio",
    "max_sparse_ratio",
)


def _has_own_rule(space: PruningTargetSpace, of_layer: bool) -> bool:
    """Whether the config list says more of a target than how much to remove."""
    settings = settings_of(space)
    if is_active(space):
        return any(settings.get(rule) is not None for rule in _RULES)
    align = settings.get("align") or {}
    elsewhere = align.get("module_name") is not None
    return (of_layer and elsewhere) or (bool(align) and not is_parameter(space))


def _whole_clusters(space: PruningTargetSpace) -> bool:
    """Whether a target's granularity is that of its layer's outputs."""
    granularity = settings_of(space).get("granularity")
    if granularity == "in_channel":
        return outputs_come_second(space)
    return granularity in ("default", "out_channel", None)
