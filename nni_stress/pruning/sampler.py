"""Draws an offspring's masks over the target spaces of an NNI pruner: genetics under NNI's own rules."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager

import torch
from nni.compression.base.target_space import PruningTargetSpace, TargetType
from nni.compression.pruning.tools import generate_sparsity, norm_metrics

from ..hparams import PrunerArguments
from .functional import survival

Masks = dict[str, dict[str, torch.Tensor]]


def is_active(space: PruningTargetSpace) -> bool:
    """As NNI's ``is_active_target``, which copies all settings deeply each time: too slow for every step of a training."""
    return (
        space._setting.get("sparse_ratio") is not None
        or space._setting.get("sparse_threshold") is not None
    )


def active_targets(spaces: dict) -> Masks:
    """{module: {target: its tensor}} of what is to lose clusters. NNI's ``active_sparse_targets_filter`` copies the network."""
    return {
        module: {name: space.target.detach() for name, space in targets.items() if is_active(space)}
        for module, targets in spaces.items()
        if any(map(is_active, targets.values()))
    }


def group_of(space: PruningTargetSpace) -> str | None:
    """Name of the group of layers that live and die together, likewise."""
    return space._setting.get("dependency_group_id")


def drawn_as(module: str, target: str, space: PruningTargetSpace) -> str | tuple[str, str]:
    """What chance decides on once: the group of layers that go together, or else the target by itself."""
    group = group_of(space)
    return (module, target) if group is None else group


class Sampler:
    """Strength of the clusters, and draws by it.

    Parameters
    ----------
    arguments
        Settings of the genetics.
    target_spaces
        NNI's {module: {target: target space}}.
    generator
        Of every random choice.
    """

    def __init__(self, arguments: PrunerArguments, target_spaces: dict, generator: torch.Generator):
        self._arguments, self._spaces, self._generator = arguments, target_spaces, generator

    def targets(self):
        """(module name, target name, target space) in an order that is the same in every process; NNI's is not."""
        for module_name in sorted(self._spaces):
            for target_name in sorted(self._spaces[module_name]):
                yield module_name, target_name, self._spaces[module_name][target_name]

    def strengths(self, taylor: Masks) -> Masks:
        """Strength of each cluster: as gathered while training, where it was; elsewhere a norm of the weights."""
        metrics = norm_metrics(
            p=2 if self._arguments.strength == "l2" else 1,
            target_spaces=self._spaces,
            data=active_targets(self._spaces),
        )
        for (
            module_name,
            strengths,
        ) in taylor.items():  # frozen layers have none, and go by magnitude
            metrics[module_name] = {**metrics[module_name], **strengths}
        return metrics

    def finite_strengths(self, taylor: Masks) -> Masks:
        """The same, for an offspring to be drawn from. To look at values, the host waits for the device.

        Raises
        ------
        ValueError
            If a weight is NaN or infinite: nothing can be said of its strength.
        """
        found = self.strengths(taylor)
        for module_name, strengths in found.items():
            for target_name, strength in strengths.items():
                if not torch.isfinite(strength).all():
                    raise ValueError(
                        f"{module_name}.{target_name} must be finite to be drawn from, but holds NaN or "
                        f"infinite values"
                    )
        return found

    def together(self, strengths: Masks) -> Masks:
        """Strength of the clusters; of layers that go together, the mean over the layers, as in NNI's rules."""
        strengths, groups = dict(strengths), defaultdict(list)
        for module, target, space in self.targets():
            if group_of(space) is not None and target in strengths.get(module, {}):
                groups[group_of(space)].append((module, target))
        for members in groups.values():
            mean = torch.stack([strengths[module][target] for module, target in members]).mean(0)
            for module, target in members:
                strengths[module] = {**strengths[module], target: mean}
        return strengths

    def draw(self, strengths: Masks, inherited: Masks) -> Masks:
        """Draw what NNI's rules rank clusters by; what `inherited` masks took away ranks last."""
        inherited = {m: {t: inherited[m][t] for t in targets} for m, targets in strengths.items()}
        alive = norm_metrics(p=1, data=inherited, target_spaces=self._spaces)
        together, drawn, scores = self.together(strengths), {}, defaultdict(dict)
        for module_name, target_name, space in self.targets():
            if target_name in strengths.get(module_name, {}):
                key = drawn_as(module_name, target_name, space)
                if (
                    key not in drawn
                ):  # one draw for layers that go together: NNI's mean would take the noise out
                    drawn[key] = self._score(space, together[module_name][target_name])
                scores[module_name][target_name] = drawn[key].where(
                    alive[module_name][target_name] > 0, -torch.inf
                )
        return scores

    def _score(self, space: PruningTargetSpace, strength: torch.Tensor) -> torch.Tensor:
        """What NNI's rules rank the clusters of a target by: their perturbed strength, or 1 and 0 as drawn."""
        tau = self._arguments.temperature
        if self._arguments.sampling == "bernoulli":
            factor = 1.0 if space.sparse_ratio is None else 1 - space.sparse_ratio
            drawn = survival.bernoulli_survival(
                survival.survival_probability(strength, tau, factor), self._generator
            )
            return torch.where(drawn > 0, 1.0, strength / strength.max().clamp(min=1e-30) * 0.25)
        if tau == 0:
            return strength.clone()
        return survival.perturbed_strength(
            strength, tau, survival.gumbel_noise(strength.shape, self._generator)
        )

    def masks(self, scores: Masks, inherited: Masks) -> Masks:
        """Masks by NNI's rules over the scores drawn."""
        if self._arguments.sampling == "bernoulli":
            free = {
                "sparse_threshold": 0.5,
                "sparse_ratio": None,
                "global_group_id": None,
                "dependency_group_id": None,
            }
            with self._settings(
                [(space, free) for _, _, space in self.targets() if is_active(space)]
            ):
                masks = generate_sparsity(scores, self._spaces)
        else:
            masks = generate_sparsity(scores, self._spaces)
        self._revive_dead_layers(masks, scores)
        if self._arguments.synapse_sparsity:
            self._thin_out(masks, inherited)
        return masks

    @contextmanager
    def _settings(self, changes):
        """Let NNI's rules see other settings for a while: [(target space, {setting: value})]."""
        before = [(space, space._setting) for space, _ in changes]
        try:
            for space, change in changes:
                space._setting = {**space._setting, **change}
            yield
        finally:
            for space, setting in before:
                space._setting = setting

    def _revive_dead_layers(self, masks: Masks, scores: Masks):
        """A layer never loses its last cluster: where a rule of the config took them all, the strongest comes back."""
        for module_name, targets in scores.items():
            for target_name, score in targets.items():
                if masks[module_name][target_name].any():
                    continue
                all_but_one = {
                    "sparse_ratio": (score.numel() - 0.5) / score.numel(),
                    "sparse_threshold": None,
                    "global_group_id": None,
                    "dependency_group_id": None,
                    "max_sparse_ratio": None,
                    "min_sparse_ratio": None,
                }
                with self._settings([(self._spaces[module_name][target_name], all_but_one)]):
                    alone = generate_sparsity(scores, {module_name: self._spaces[module_name]})
                masks[module_name].update(alone[module_name])

    def _thin_out(self, masks: Masks, inherited: Masks):
        """Inside the surviving clusters, draw which synapses survive, to the exact share of each target."""
        for module_name, target_name, space in self.targets():
            if (
                not is_active(space)
                or space.type is not TargetType.PARAMETER
                or space._scaler is None
            ):
                continue
            alive = (
                masks[module_name][target_name].expand(space.shape)
                * inherited[module_name][target_name]
            )
            score = space.target.detach().abs()
            if self._arguments.temperature:
                noise = survival.gumbel_noise(score.shape, self._generator)
                score = survival.perturbed_strength(score, self._arguments.temperature, noise)
            score = score.where(alive > 0, torch.inf).flatten()
            removed = score.topk(
                int(int(alive.count_nonzero()) * self._arguments.synapse_sparsity), largest=False
            ).indices
            masks[module_name][target_name] = (
                alive.flatten().scatter(0, removed, 0.0).view(space.shape)
            )
