"""StressPruner: NNI's pruner interface over genetics and stress."""
from __future__ import annotations

from collections import defaultdict
from typing import Dict, List

import torch
from nni.compression.base.compressor import Compressor, Pruner
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.pruning.tools import active_sparse_targets_filter, generate_sparsity, is_active_target, norm_metrics
from nni.compression.utils.evaluator import Evaluator

from . import genetics, stress
from .arguments import check_value

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
    temperature
        tau >= 0 of the survival probability; 0 keeps the strongest clusters.
    stressor
        ``attenuate``: the effective strength of a synapse is w (1 - level (1 - P)); its weight is not touched.
    stress_peak, stress_onset, stress_ramp
        Highest stress level, and the onset and rise of stress as shares of the stress phase, all in [0, 1].
    seed
        Seed of the draw. The same seed on the same weights gives the same offspring.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its bounds, or no module of the model matches the config.
    """

    def __init__(self, model: torch.nn.Module, config_list: List[Dict], evaluator: Evaluator | None = None,
                 training_steps: int | None = None, *, temperature: float = 0.1, stressor: str = "attenuate",
                 stress_peak: float = 0.5, stress_onset: float = 0.0, stress_ramp: float = 0.5, seed: int = 0,
                 existed_wrappers: Dict[str, ModuleWrapper] | None = None):
        for name, value in dict(temperature=temperature, stressor=stressor, stress_peak=stress_peak,
                                stress_onset=stress_onset, stress_ramp=stress_ramp).items():
            check_value(name, value)
        if training_steps is not None and (not isinstance(training_steps, int) or training_steps < 1):
            raise ValueError(f"training_steps must be a whole number of at least 1, but got {training_steps!r}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise TypeError(f"seed must be a whole number, but got {seed!r}")
        super().__init__(model, config_list, evaluator, existed_wrappers)
        if not any(is_active_target(space) for spaces in self._target_spaces.values() for space in spaces.values()):
            self.unwrap_model()
            raise ValueError(f"no module of the model has a sparsity to reach under the config list {config_list!r}")
        self.training_steps, self.temperature, self.stressor = training_steps, temperature, stressor
        self.stress_peak, self.stress_onset, self.stress_ramp = stress_peak, stress_onset, stress_ramp
        self._generator = torch.Generator().manual_seed(seed)
        self._step, self._level = 0, 0.0
        # Under these names NNI's scheduled pruners set how often masks are drawn while training.
        self.interval_steps, self.total_times = -1, 1
        self._inherited = self.get_masks()

    @classmethod
    def from_compressor(cls, compressor: Compressor, new_config_list: List[Dict], *args,
                        evaluator: Evaluator | None = None, **kwargs):
        return super().from_compressor(compressor, new_config_list, *args, evaluator=evaluator, **kwargs)

    # Genetics

    def _collect_data(self) -> Masks:
        return active_sparse_targets_filter(self._target_spaces)

    def _calculate_metrics(self, data: Masks) -> Masks:
        return norm_metrics(p=1, data=data, target_spaces=self._target_spaces)

    def _generate_sparsity(self, metrics: Masks) -> Masks:
        inherited = {m: {t: self._inherited[m][t] for t in targets} for m, targets in metrics.items()}
        alive = self._calculate_metrics(inherited)
        scores = defaultdict(dict)
        for module_name in sorted(metrics):  # NNI's order of modules changes from process to process
            for target_name, strength in sorted(metrics[module_name].items()):
                score = genetics.perturbed_strength(strength, self.temperature, self._generator)
                # what an earlier generation removed is the first to be removed again
                scores[module_name][target_name] = score.where(alive[module_name][target_name] > 0, -torch.inf)
        masks = generate_sparsity(scores, self._target_spaces)
        self._revive_dead_layers(masks, scores)
        return masks

    def _revive_dead_layers(self, masks: Masks, scores: Masks):
        """A layer never loses its last cluster: where a rule of the config took them all, the strongest comes back."""
        dead = {(m, t) for m in scores for t in scores[m] if not masks[m][t].any()}
        if not dead:
            return
        for module_name, target_name in dead:
            space = self._target_spaces[module_name][target_name]
            clusters = scores[module_name][target_name].numel()
            setting = space._setting
            spared = {**setting, "sparse_threshold": None, "global_group_id": None, "dependency_group_id": None,
                      "sparse_ratio": (clusters - 0.5) / clusters, "max_sparse_ratio": None, "min_sparse_ratio": None}
            space._setting = spared
            try:
                alone = {module_name: self._target_spaces[module_name]}
                masks[module_name].update(generate_sparsity(scores, alone)[module_name])
            finally:
                space._setting = setting

    # Stress

    def _apply_stress(self, level: float):
        """Let every synapse feel this level of stress, through NNI's own multiplication of weight by mask."""
        metrics = self._calculate_metrics(self._collect_data())
        masks = defaultdict(dict)
        for module_name, targets in metrics.items():
            for target_name, strength in targets.items():
                space = self._target_spaces[module_name][target_name]
                felt = stress.attenuation(genetics.survival_probability(strength, self.temperature), level)
                if space._scaler is not None:
                    felt = space._scaler.expand(felt, space.shape, keepdim=True, full_expand=False)
                masks[module_name][target_name] = felt.expand(space.shape)
        for module_name, spaces in self._target_spaces.items():
            for target_name, space in spaces.items():
                source = masks.get((space.align or {}).get("module_name") or module_name, {})
                if space.align and space.target is not None and space.align["target_name"] in source:
                    felt = source[space.align["target_name"]]
                    others = [d for d in range(felt.dim()) if d not in [a % felt.dim() for a in space.align["dims"]]]
                    masks[module_name][target_name] = felt.amax(others) if others else felt
        self._update_masks_of_the_living(masks)

    def _update_masks_of_the_living(self, masks: Masks):
        """Set masks; what an earlier generation removed stays removed."""
        for module_name, targets in masks.items():
            for target_name in targets:
                inherited = self._inherited[module_name].get(target_name)
                if inherited is not None:
                    targets[target_name] = targets[target_name] * inherited
        self.update_masks(masks)

    def _on_step(self, total_steps: int):
        self._step += 1
        level = stress.stress_level(self._step, total_steps, self.stress_peak, self.stress_onset, self.stress_ramp)
        if level != self._level:  # on the plateau nothing changes, and nothing is computed
            self._level = level
            self._apply_stress(level)

    # NNI's interface

    def _synthesize(self):
        self._update_masks_of_the_living(self.generate_masks())
        self._inherited = self.get_masks()

    def _single_compress(self, max_steps: int | None, max_epochs: int | None):
        if self.evaluator is None:
            if max_steps is not None or max_epochs is not None:
                raise ValueError(f"training under stress needs an evaluator, but got max_steps={max_steps}, "
                                 f"max_epochs={max_epochs} and evaluator=None")
            self._inherited = self.get_masks()
            self._synthesize()
        else:
            self._fusion_compress(max_steps, max_epochs)

    def _fuse_preprocess(self, evaluator: Evaluator):
        self._step, self._level, self._inherited = 0, 0.0, self.get_masks()
        evaluator.patch_optimizer_step(before_step_tasks=[], after_step_tasks=[lambda: self._on_step(self._total_steps)])

    def _fuse_postprocess(self, evaluator: Evaluator):
        self._synthesize()

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
        self._total_steps = max_steps or self.training_steps
        if self._total_steps is None:
            raise ValueError("how long to stress? Give compress(max_steps=...) or training_steps=..., but got neither")
        return super().compress(max_steps, max_epochs)
