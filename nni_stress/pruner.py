"""StressPruner: NNI's pruner interface over genetics and stress."""
from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from typing import Any, Dict, List
from weakref import WeakValueDictionary

import torch
from nni.compression.base.compressor import Compressor, Pruner
from nni.compression.base.target_space import PruningTargetSpace, TargetType
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.pruning.tools import active_sparse_targets_filter, generate_sparsity, is_active_target, norm_metrics
from nni.compression.utils.evaluator import Evaluator

from . import genetics, synthesis
from .arguments import PrunerArguments
from .phase import StressPhase
from .resources import Resources
from .screening import Screen

Masks = Dict[str, Dict[str, torch.Tensor]]


class StressPruner(Pruner):
    """Synthesizes an offspring: trains the ancestor under stress, then draws which of its clusters survive.

    Takes NNI's config list, wrappers and evaluators as every NNI pruner does. Without an evaluator the offspring is
    drawn at once, with no stress; at ``temperature=0`` that is exactly NNI's ``L1NormPruner``.

    Parameters
    ----------
    model
        The ancestor.
    config_list
        NNI's pruning config: which modules, and the share of clusters (output channels, neurons) to remove.
    evaluator
        NNI's evaluator, for training under stress.
    training_steps
        Length of the stress phase in optimizer steps; ``compress(max_steps=...)`` overrides it.
    seed
        Seed of every random choice. The same seed on the same weights and data gives the same offspring.
    steps_per_epoch
        Needed where ``stress_unit="epochs"``.
    stress_overrides
        Stress settings of single layers: {regular expression of the module's name: {setting: value}}.
    budget
        {resource: share} for the whole network instead of ratios per layer, ``{"parameters": 0.1}`` or ``{"macs": 0.4}``;
        shared out by importance per unit of cost. The config list then says which layers may lose clusters.
    example_input
        One batch of inputs; needed with a budget.
    floor, multiple
        With a budget: least number of clusters of a layer, and of what the numbers are multiples where that is free.
    candidates, screen
        With a budget: how many offspring to draw around its shares and judge untrained on the screen's examples; the
        best is synthesized.
    **arguments
        Settings of stress and genetics, see :class:`nni_stress.arguments.PrunerArguments`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its bounds, or no module of the model matches the config.
    """

    def __init__(self, model: torch.nn.Module, config_list: List[Dict], evaluator: Evaluator | None = None,
                 training_steps: int | None = None, *, seed: int = 0, steps_per_epoch: int | None = None,
                 stress_overrides: Dict[str, Dict[str, Any]] | None = None, budget: Dict[str, float] | None = None,
                 example_input: Any = None, floor: int = 1, multiple: int = 1, candidates: int = 1,
                 screen: Screen | None = None,
                 existed_wrappers: Dict[str, ModuleWrapper] | None = None, **arguments):
        self.arguments = PrunerArguments.from_mapping(arguments)
        for name, value in (("training_steps", training_steps), ("steps_per_epoch", steps_per_epoch), ("floor", floor),
                            ("multiple", multiple), ("candidates", candidates)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number of at least 1, but got {value!r}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number, but got {seed!r}")
        if self.arguments.strength == "taylor" and evaluator is None:
            raise ValueError("strength='taylor' is gathered while training: it needs an evaluator, but got none")
        if self.arguments.stress_unit == "epochs" and steps_per_epoch is None:
            raise ValueError("stress_unit='epochs' needs steps_per_epoch, but got none")
        if candidates > 1 and (budget is None or screen is None):
            raise ValueError(f"candidates={candidates} needs a budget to draw around and a screen to judge on, but got "
                             f"budget={budget!r} and screen={screen!r}")
        self._candidates, self._screen, self._resources = candidates, screen, None
        if budget is not None:
            if self.arguments.encoding != "cluster" or any("sparse_ratio" in config for config in config_list):
                raise ValueError("a budget shares out clusters: it goes with encoding='cluster' and a config list without "
                                 "sparse_ratio")
            self._resources = Resources(model, example_input, budget, floor, multiple)
            config_list = [{**config, "sparse_ratio": 0.0} for config in config_list]
        self._founding_parameters = WeakValueDictionary(_parameters(model))  # NNI's wrappers replace them by copies
        self._phase = StressPhase(self.arguments, stress_overrides or {}, steps_per_epoch)
        super().__init__(model, config_list, evaluator, existed_wrappers)
        if not any(is_active_target(space) for _, _, space in self._targets()):
            self.unwrap_model()
            raise ValueError(f"no module of the model has a sparsity to reach under the config list {config_list!r}")
        if self._resources:
            self._resources.open_to(self._target_spaces)
        self._generator = torch.Generator().manual_seed(seed)
        self.training_steps = training_steps
        # Under these names NNI's scheduled pruners set how often masks are drawn while training.
        self.interval_steps, self.total_times = -1, 1
        self._inherited, self._synthesized = self.get_masks(), False

    @classmethod
    def from_compressor(cls, compressor: Compressor, new_config_list: List[Dict], *args,
                        evaluator: Evaluator | None = None, **kwargs):
        return super().from_compressor(compressor, new_config_list, *args, evaluator=evaluator, **kwargs)

    def _set_default_sparse_granularity(self, target_space: PruningTargetSpace):
        return None if self.arguments.encoding == "synapse" else super()._set_default_sparse_granularity(target_space)

    def _targets(self):
        """(module name, target name, target space) in an order that is the same in every process; NNI's is not."""
        for module_name in sorted(self._target_spaces):
            for target_name in sorted(self._target_spaces[module_name]):
                yield module_name, target_name, self._target_spaces[module_name][target_name]

    # Genetics

    def _collect_data(self) -> Masks:
        return active_sparse_targets_filter(self._target_spaces)

    def _calculate_metrics(self, data: Masks) -> Masks:
        norm = 2 if self.arguments.strength == "l2" else 1
        metrics = norm_metrics(p=norm, data=data, target_spaces=self._target_spaces)
        for module_name, strengths in self._phase.taylor_strength.items():  # frozen layers have none, and go by magnitude
            metrics[module_name] = {**metrics[module_name], **strengths}
        return metrics

    def share_out(self, strengths: Masks) -> List[int] | None:
        """Where there is a budget: let NNI's rules keep to its shares by these strengths. Numbers of clusters kept."""
        if self._resources is None:
            return None
        return self._resources.share_out(strengths, relative=self.arguments.strength != "taylor")

    def _generate_sparsity(self, metrics: Masks) -> Masks:
        keep = self.share_out(metrics)
        if self._candidates > 1:
            scores = self._resources.screen(keep, self._candidates, lambda: self._draw(metrics), self._show, self._screen,
                                            self._generator)
        else:
            scores = self._draw(metrics)
        if self.arguments.sampling == "bernoulli":
            with self._each_at_threshold(0.5):
                masks = generate_sparsity(scores, self._target_spaces)
        else:
            masks = generate_sparsity(scores, self._target_spaces)
        self._revive_dead_layers(masks, scores)
        if self.arguments.synapse_sparsity:
            self._thin_out(masks)
        return masks

    def _show(self, masks: Masks) -> torch.nn.Module:
        self.update_masks(self.keep_removed(masks))
        return self.bound_model

    def _draw(self, metrics: Masks) -> Masks:
        """Draw what NNI's rules rank clusters by."""
        inherited = {m: {t: self._inherited[m][t] for t in targets} for m, targets in metrics.items()}
        alive = norm_metrics(p=1, data=inherited, target_spaces=self._target_spaces)
        together, drawn, scores = StressPhase.of_groups(self, dict(metrics)), {}, defaultdict(dict)
        for module_name, target_name, space in self._targets():
            if target_name in metrics.get(module_name, {}):
                group = space.dependency_group_id
                key = (module_name, target_name) if group is None else group
                if key not in drawn:  # one draw for layers that go together: NNI's mean would take the noise out
                    drawn[key] = self._score(space, together[module_name][target_name])
                score = drawn[key]
                # what an earlier generation removed is the first to be removed again
                scores[module_name][target_name] = score.where(alive[module_name][target_name] > 0, -torch.inf)
        return scores

    def _score(self, space: PruningTargetSpace, strength: torch.Tensor) -> torch.Tensor:
        """What NNI's rules rank the clusters of a target by: their perturbed strength, or 1 and 0 as drawn."""
        tau = self.arguments.temperature
        if self.arguments.sampling == "bernoulli":
            factor = 1.0 if space.sparse_ratio is None else 1 - space.sparse_ratio
            drawn = genetics.bernoulli_survival(genetics.survival_probability(strength, tau, factor), self._generator)
            return torch.where(drawn > 0, 1.0, strength / strength.max().clamp(min=1e-30) * 0.25)
        if tau == 0:
            return strength.clone()
        return genetics.perturbed_strength(strength, tau, genetics.gumbel_noise(strength.shape, self._generator))

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

    def _each_at_threshold(self, threshold: float):
        free = dict(sparse_threshold=threshold, sparse_ratio=None, global_group_id=None, dependency_group_id=None)
        return self._settings([(space, free) for _, _, space in self._targets() if is_active_target(space)])

    def _revive_dead_layers(self, masks: Masks, scores: Masks):
        """A layer never loses its last cluster: where a rule of the config took them all, the strongest comes back."""
        for module_name, targets in scores.items():
            for target_name, score in targets.items():
                if masks[module_name][target_name].any():
                    continue
                all_but_one = dict(sparse_ratio=(score.numel() - 0.5) / score.numel(), sparse_threshold=None,
                                   global_group_id=None, dependency_group_id=None, max_sparse_ratio=None,
                                   min_sparse_ratio=None)
                with self._settings([(self._target_spaces[module_name][target_name], all_but_one)]):
                    alone = generate_sparsity(scores, {module_name: self._target_spaces[module_name]})
                masks[module_name].update(alone[module_name])

    def _thin_out(self, masks: Masks):
        """Inside the surviving clusters, draw which synapses survive, to the exact share of each target."""
        for module_name, target_name, space in self._targets():
            if not is_active_target(space) or space.type is not TargetType.PARAMETER or space._scaler is None:
                continue
            alive = masks[module_name][target_name].expand(space.shape) * self._inherited[module_name][target_name]
            score = space.target.detach().abs()
            if self.arguments.temperature:
                noise = genetics.gumbel_noise(score.shape, self._generator)
                score = genetics.perturbed_strength(score, self.arguments.temperature, noise)
            score = score.where(alive > 0, torch.inf).flatten()
            removed = score.topk(int(int(alive.count_nonzero()) * self.arguments.synapse_sparsity), largest=False).indices
            masks[module_name][target_name] = alive.flatten().scatter(0, removed, 0.0).view(space.shape)

    def _synthesize(self):
        masks = self.generate_masks()
        self.update_masks(self.keep_removed(masks))
        self._inherited, self._synthesized = self.get_masks(), True

    def keep_removed(self, masks: Masks) -> Masks:
        """The masks, less what an earlier generation removed."""
        for module_name, targets in masks.items():
            for target_name in targets:
                inherited = self._inherited[module_name].get(target_name)
                if inherited is not None:
                    targets[target_name] = targets[target_name] * inherited
        return masks

    # NNI's interface

    def _single_compress(self, max_steps: int | None, max_epochs: int | None):
        if self.evaluator is not None:
            self._fusion_compress(max_steps, max_epochs)
        elif max_steps is not None or max_epochs is not None:
            raise ValueError(f"training under stress needs an evaluator, but got max_steps={max_steps}, "
                             f"max_epochs={max_epochs} and evaluator=None")
        else:
            self._inherited = self.get_masks()
            self._synthesize()

    def _fuse_preprocess(self, evaluator: Evaluator):
        scheduled = self.interval_steps > 0
        steps = self.interval_steps * self.total_times if scheduled else self.training_steps
        self._inherited = self.get_masks()
        if self._synthesized and not scheduled and self._steps_now is None:
            return  # trained on by a compressor fused with this one: the offspring is there, and only keeps its masks
        steps = self._steps_now or steps
        if steps is None:
            raise ValueError("how long to stress? Give compress(max_steps=...) or training_steps=..., but got neither")
        self._synthesized = False
        self._phase.begin(self, steps)

        def after_step():
            self._phase.after_step()
            if self._phase.step == steps or (scheduled and self._phase.step < steps
                                             and self._phase.step % self.interval_steps == 0):
                self._synthesize()

        evaluator.patch_optimizer_step(before_step_tasks=[self._phase.before_step], after_step_tasks=[after_step])

    def _fuse_postprocess(self, evaluator: Evaluator):
        if not self._synthesized:
            self._synthesize()

    _steps_now: int | None = None

    def compress(self, max_steps: int | None = None, max_epochs: int | None = None):
        """Train under stress for `max_steps` (or `training_steps`) optimizer steps, then synthesize.

        Returns
        -------
        (model, masks)
            The wrapped model and its masks {module: {target: tensor of 0 and 1}}, as NNI's pruners return them.
        """
        if self.evaluator is None:  # NNI would insist on training here where other compressors are fused with this one
            self._single_compress(max_steps, max_epochs)
            return self.bound_model, self.get_masks()
        if max_steps is None and max_epochs is None:
            max_steps = self.training_steps
        self._steps_now = max_steps or self.training_steps
        if self._steps_now is None:
            raise ValueError("how long to stress? Give compress(max_steps=...) or training_steps=..., but got neither")
        try:
            return super().compress(max_steps, max_epochs)
        finally:
            self._steps_now = None

    def synthesize(self, example_input: Any, optimizer: torch.optim.Optimizer | None = None) -> torch.nn.Module:
        """Unwrap the model and make it physically small, by NNI's ModelSpeedup; the pruner's work ends with it.

        Parameters
        ----------
        example_input
            One batch of inputs, a tensor or a tuple of tensors.
        optimizer
            One that trained the model, before or while it was wrapped. From here on it trains the offspring, and what it
            remembers of the surviving synapses (momentum, second moments) is as it was. Of a parameter about which it
            remembers arrays of another shape than the parameter's, as Adafactor does, it forgets all.

        Returns
        -------
        torch.nn.Module
            The offspring: the model itself, with small layers.

        Raises
        ------
        Exception
            What ModelSpeedup raises where it cannot follow the network.
        """
        masks, wrapped = self.get_masks(), _parameters(self.bound_model)
        self.unwrap_model()
        if optimizer is not None:
            for before in (dict(self._founding_parameters), wrapped):
                synthesis.repoint(optimizer, before, _parameters(self.bound_model))
        return synthesis.synthesize(self.bound_model, example_input, masks, optimizer)


def _parameters(model: torch.nn.Module) -> Dict[str, torch.nn.Parameter]:
    """Parameters by the names they have without NNI's wrappers, which hold copies of their own."""
    return {name.replace("_nni_wrapper.", ""): parameter for name, parameter in model.named_parameters()}
