"""StressPruner: NNI's pruner interface over genetics and stress."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import torch
from nni.compression.base.compressor import Compressor, Pruner
from nni.compression.base.target_space import PruningTargetSpace
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.utils.evaluator import Evaluator
from schema import SchemaError

from ..graph import synthesis
from ..hparams import PrunerArguments, check_value
from . import validation
from .budget import Resources
from .sampler import Masks, Sampler, active_targets, is_active
from .screening import Screen
from .stress_masks import StressedMasks, compact
from .stress_phase import StressPhase


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
        {resource: share} for the whole network instead of ratios per layer, ``{"macs": 0.4}``, or several to keep to;
        shared out by importance per unit of cost. The config list then says which layers may lose clusters.
    example_input
        One batch of inputs; needed with a budget.
    floor, multiple
        With a budget: least number of clusters of a layer, and of what the numbers are multiples where that is free.
    worth
        With a budget: what the clusters of the first and of the last layers are worth, times that of those in the middle.
    redundancy
        With a budget: how far the clusters of a layer make up for each other; 20 leaves every layer nearly the same share.
    candidates, screen
        With a budget: how many offspring to draw around its shares and judge untrained on the screen's examples; the
        best is synthesized.
    **arguments
        Settings of stress and genetics, see :class:`nni_stress.hparams.PrunerArguments`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its bounds, or no module of the model matches the config.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        config_list: list[dict],
        evaluator: Evaluator | None = None,
        training_steps: int | None = None,
        *,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        stress_overrides: dict[str, dict[str, Any]] | None = None,
        budget: dict[str, float] | None = None,
        example_input: Any = None,
        floor: int = 1,
        multiple: int = 1,
        candidates: int = 1,
        screen: Screen | None = None,
        worth: tuple[float, float] = (1.0, 1.0),
        redundancy: float = 1.0,
        existed_wrappers: dict[str, ModuleWrapper] | None = None,
        **arguments,
    ):
        self.arguments = PrunerArguments.from_mapping(arguments)
        validation.check_kinds(model, evaluator, existed_wrappers, seed)
        validation.check_whole(
            training_steps=training_steps,
            steps_per_epoch=steps_per_epoch,
            floor=floor,
            multiple=multiple,
            candidates=candidates,
        )
        validation.check_worth(worth)
        check_value("redundancy", redundancy)
        config_list = validation.checked_config(config_list, model)
        if self.arguments.strength == "taylor" and evaluator is None:
            raise ValueError(
                "strength='taylor' is gathered while training: it needs an evaluator, but got none"
            )
        if self.arguments.stress_unit == "epochs" and steps_per_epoch is None:
            raise ValueError("stress_unit='epochs' needs steps_per_epoch, but got none")
        if candidates > 1 and (budget is None or not isinstance(screen, Screen)):
            raise ValueError(
                f"candidates={candidates} needs a budget to draw around and a Screen to judge on, but got "
                f"budget={budget!r} and a screen of {type(screen).__name__}"
            )
        self._candidates, self._screen, self._resources = candidates, screen, None
        if budget is not None:
            if self.arguments.encoding != "cluster" or any(
                "sparse_ratio" in config for config in config_list
            ):
                raise ValueError(
                    "a budget shares out clusters: it goes with encoding='cluster' and a config list without "
                    "sparse_ratio"
                )
            self._resources = Resources(
                model, example_input, budget, floor, multiple, worth, redundancy
            )
            config_list = [{**config, "sparse_ratio": 0.0} for config in config_list]
        self._founding_parameters = WeakValueDictionary(
            _parameters(model)
        )  # NNI's wrappers replace them by copies
        self._phase = StressPhase(self.arguments, stress_overrides or {}, steps_per_epoch)
        with _one_line_errors():
            super().__init__(model, config_list, evaluator, existed_wrappers)
        try:
            self._check_targets(config_list)
        except ValueError:
            self.unwrap_model()
            for (
                name,
                parameter,
            ) in self._founding_parameters.items():  # those that something else still holds
                owner, _, leaf = name.rpartition(".")
                setattr(model.get_submodule(owner), leaf, parameter)
            raise
        if self._resources:
            self._resources.open_to(self._target_spaces)
        self._generator = torch.Generator().manual_seed(seed)
        self._sampler = Sampler(self.arguments, self._target_spaces, self._generator)
        self.training_steps, self._steps_per_epoch = training_steps, steps_per_epoch
        # Under these names NNI's scheduled pruners set how often masks are drawn while training.
        self.interval_steps, self.total_times = -1, 1
        self.stressed_masks, self._synthesized = StressedMasks(self), False
        self._inherit()

    def _check_targets(self, config_list) -> None:
        spaces = [
            space
            for targets in self._target_spaces.values()
            for space in targets.values()
            if is_active(space)
        ]
        if not spaces:
            raise ValueError(
                f"no module of the model has a sparsity to reach under the config list {config_list!r}"
            )
        blocks = {space.internal_metric_block for space in spaces} - {None, 1}
        if blocks and self.arguments.sampling == "bernoulli":
            raise ValueError(
                f"sampling='bernoulli' draws every cluster for itself, and cannot keep blocks alike, but got "
                f"internal_metric_block={blocks.pop()}"
            )
        self._phase.check_modules(self._target_spaces)

    @classmethod
    def from_compressor(
        cls,
        compressor: Compressor,
        new_config_list: list[dict],
        *args,
        evaluator: Evaluator | None = None,
        **kwargs,
    ):
        return super().from_compressor(
            compressor, new_config_list, *args, evaluator=evaluator, **kwargs
        )

    def _set_default_sparse_granularity(self, target_space: PruningTargetSpace):
        return (
            None
            if self.arguments.encoding == "synapse"
            else super()._set_default_sparse_granularity(target_space)
        )

    # Genetics

    def _collect_data(self) -> Masks:
        return active_targets(self._target_spaces)

    def _calculate_metrics(self, data: Masks) -> Masks:
        return self._sampler.finite_strengths(self._phase.taylor_strength)

    def draw_offspring(self, strengths: Masks):
        """Where there is a budget, share it out by these strengths; then draw what NNI's rules rank clusters by.

        Returns
        -------
        (keep, scores)
            Numbers of clusters kept, None without a budget, and the scores.
        """
        keep = None
        if self._resources is not None:
            keep = self._resources.share_out(strengths, self._phase.taylor_strength)
        return keep, self._sampler.draw(strengths, self._inherited)

    def _generate_sparsity(self, metrics: Masks) -> Masks:
        settled = self._phase.settled
        keep, scores = settled or self.draw_offspring(metrics)
        if self._candidates > 1:
            again = (
                (lambda: scores)
                if settled
                else (lambda: self._sampler.draw(metrics, self._inherited))
            )
            scores = self._resources.screen(
                keep, self._candidates, again, self._show, self._screen, self._generator
            )
        self._phase.unsettle()
        return self._sampler.masks(scores, self._inherited)

    def _show(self, masks: Masks) -> torch.nn.Module:
        self.update_masks(self.keep_removed(masks))
        return self.bound_model

    def _synthesize(self):
        self.stressed_masks.take_off()
        self._show(self.generate_masks())
        self._synthesized = True
        self._inherit()

    def _masks(self) -> Masks:
        """As NNI's ``get_masks``, without copies."""
        return {
            module_name: {
                target_name: space.mask
                for target_name, space in wrapper.pruning_target_spaces.items()
            }
            for module_name, wrapper in self._module_wrappers.items()
        }

    def _inherit(self) -> None:
        """Take the masks as they are for what earlier generations removed."""
        self._inherited = {
            module_name: {
                name: None if mask is None else compact(mask) for name, mask in targets.items()
            }
            for module_name, targets in self._masks().items()
        }
        self.removing = {
            (module_name, target_name)
            for module_name, targets in self._inherited.items()
            for target_name, mask in targets.items()
            if mask is not None and not mask.all()
        }

    def keep_removed(self, masks: Masks) -> Masks:
        """The masks, less what an earlier generation removed."""
        for module_name, targets in masks.items():
            for target_name in targets:
                if (
                    module_name,
                    target_name,
                ) in self.removing:  # else there is nothing to pass over a whole layer for
                    targets[target_name] = (
                        targets[target_name] * self._inherited[module_name][target_name]
                    )
        return masks

    # NNI's interface

    def wrap_model(self):
        """As NNI does. What it leaves in place of a wrapped parameter takes no memory of its own until either changes."""
        super().wrap_model()
        for wrapper in self._module_wrappers.values():
            for name, space in wrapper.pruning_target_spaces.items():
                if isinstance(space.target, torch.nn.Parameter):
                    setattr(wrapper.module, name, _copied_on_write(space.target.detach()))

    def _single_compress(self, max_steps: int | None, max_epochs: int | None):
        if self.evaluator is not None:
            self._fusion_compress(max_steps, max_epochs)
        elif max_steps is not None or max_epochs is not None:
            raise ValueError(
                f"training under stress needs an evaluator, but got max_steps={max_steps}, "
                f"max_epochs={max_epochs} and evaluator=None"
            )
        else:
            self._inherit()
            self._synthesize()

    def _fuse_preprocess(self, evaluator: Evaluator):
        scheduled = self.interval_steps > 0
        steps = self.interval_steps * self.total_times if scheduled else self.training_steps
        self.stressed_masks.take_off()  # of a training that was cut short
        self._inherit()
        if self._synthesized and not scheduled and self._steps_now is None:
            return  # trained on by a compressor fused with this one: the offspring is there, and only keeps its masks
        steps = self._steps_now or steps
        if steps is None:
            raise ValueError(
                "how long to stress? Give compress(max_steps=...) or training_steps=..., but got neither"
            )
        self._synthesized = False
        self._phase.begin(self, self._sampler, steps)

        def after_step():
            self._phase.after_step()
            if self._phase.step == steps or (
                scheduled
                and self._phase.step < steps
                and self._phase.step % self.interval_steps == 0
            ):
                self._synthesize()

        evaluator.patch_optimizer_step(
            before_step_tasks=[self._phase.before_step], after_step_tasks=[after_step]
        )

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
        if (
            self.evaluator is None
        ):  # NNI would insist on training here where other compressors are fused with this one
            self._single_compress(max_steps, max_epochs)
            return self.bound_model, self.get_masks()
        validation.check_whole(max_steps=max_steps, max_epochs=max_epochs)
        if max_epochs is not None and max_steps is None:
            if self._steps_per_epoch is None:
                raise ValueError(
                    f"compress(max_epochs={max_epochs}) needs steps_per_epoch, but got none"
                )
            max_steps = max_epochs * self._steps_per_epoch
        max_steps = self._steps_now = max_steps or self.training_steps
        if max_steps is None:
            raise ValueError(
                "how long to stress? Give compress(max_steps=...) or training_steps=..., but got neither"
            )
        try:
            return super().compress(max_steps, max_epochs)
        finally:
            self._steps_now = None

    def synthesize(
        self, example_input: Any, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.nn.Module:
        """Unwrap the model and make it physically small; the pruner's work ends with it.

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
            What NNI's ModelSpeedup raises where it cannot follow the network.
        """
        masks, wrapped = self._masks(), _parameters(self.bound_model)
        self.unwrap_model()
        if optimizer is not None:
            for before in (dict(self._founding_parameters), wrapped):
                synthesis.repoint(optimizer, before, _parameters(self.bound_model))
        graph = self._resources and self._resources.graph
        return synthesis.synthesize(self.bound_model, example_input, masks, optimizer, graph)


def _parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Parameters by the names they have without NNI's wrappers, which hold copies of their own."""
    return {
        name.replace("_nni_wrapper.", ""): parameter for name, parameter in model.named_parameters()
    }


def _copied_on_write(tensor: torch.Tensor) -> torch.Tensor:
    """A copy that shares the tensor's memory until either is written to, where PyTorch has such."""
    return (
        tensor._lazy_clone()
        if hasattr(tensor, "_lazy_clone") and tensor.device.type in ("cpu", "cuda")
        else tensor.clone()
    )


@contextmanager
def _one_line_errors():
    """What NNI finds wrong with a config, as one clear line."""
    try:
        yield
    except SchemaError as error:
        raise ValueError(f"NNI refuses the config list: {' '.join(str(error).split())}") from None
    except KeyError as error:
        raise ValueError(
            f"the config list names {error.args[0]!r}, which a module it matches does not have"
        ) from None
