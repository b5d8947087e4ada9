"""StressPruner: training under stress and the draw of an offspring, as a pruner of NNI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import torch
from nni.compression.base.compressor import Pruner
from nni.compression.base.target_space import PruningTargetSpace, TargetType
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.utils.evaluator import Evaluator
from torch import Tensor, nn
from torch.optim import Optimizer

from ..graph import synthesis
from ..graph.cluster_graph import ClusterGraph
from ..graph.output_layers import output_layers
from ..hparams import PrunerArguments
from . import validation
from .ancestor import Ancestor
from .budget import Budget, SharingRules
from .config_list import (
    check_blocks,
    check_targets,
    checked_config,
    clear_nni_errors,
    without_whole_modules,
)
from .inheritance import Inheritance
from .kept_layers import keep_outputs
from .layer_settings import LayerSettings
from .optimizer_hooks import StepHooks, optimizers_of, owners_of
from .parameters import LazyClones, give_back, lend, parameters_of, release
from .screening import Judged, Screen
from .targets import (
    Masks,
    active_targets,
    align_transposed,
    outputs_come_second,
)


class StressPruner(Pruner):
    """Trains the ancestor under stress, then draws which of its clusters an offspring keeps.

    Takes NNI's config list, wrappers and evaluators, as every pruner of NNI does. `stress` needs no
    evaluator: it stresses the model while your own loop trains it. Without either the offspring is
    drawn at once; with ``temperature=0`` that is exactly NNI's ``L1NormPruner``. The idea of
    training under stress is that of StressedNets (Shafiee et al., arXiv 1801.05387). On the meta
    device, where weights have no values, it plans: all clusters of a layer are equally strong, and
    of the small network only shapes are checked.

    Parameters
    ----------
    model
        The ancestor.
    config_list
        NNI's pruning config: which modules, and the share of clusters (output channels or neurons)
        to remove. The network's outputs all stay: a warning says so where ``op_types`` selects the
        layer that computes them, and an error where ``op_names`` does.
    evaluator
        NNI's evaluator, for training under stress by `compress`.
    training_steps
        Length of the stress phase in optimizer steps; ``compress(max_steps=...)`` overrides it.
    seed
        Seed of every random choice. The same seed with the same weights and data gives the same
        offspring.
    steps_per_epoch
        Optimizer steps per epoch; required with ``stress_unit="epochs"``.
    stress_overrides
        Stress settings of single layers: {regular expression of the module's name: {setting:
        value}}.
    budget
        {resource: share} for the whole network instead of ratios per layer: ``{"macs": 0.4}``, or
        several to keep to. It is divided by importance per unit of cost. The config list then says
        which layers may lose clusters.
    example_input
        One batch of inputs; required with a budget. With it, layers that must agree lose the same
        clusters, and the masked network computes what the small one will. Without it, each layer
        loses clusters of its own, and of those that must agree the union is kept.
    floor
        With a budget: least number of clusters that a layer keeps.
    multiple
        With a budget: numbers of clusters are multiples of this (8 suits most hardware), as far as
        the budget is used all the same.
    worth
        With a budget: worth of the clusters of the first and of the last layers, relative to those
        in the middle.
    redundancy
        With a budget: how far the clusters of a layer make up for each other; at 20 every layer
        keeps nearly the same share.
    candidates
        With a budget: how many architectures within it are bred, beginning with its division by
        importance. The best of them, judged untrained, is synthesized.
    screen
        With several candidates: the examples and the loss by which they are judged.
    existed_wrappers
        Wrappers of another compressor, which NNI's ``from_compressor`` passes on.
    **arguments
        Settings of stress and genetics, see :class:`nni_stress.PrunerArguments`.

    Attributes
    ----------
    judged : nni_stress.pruning.screening.Judged or None
        With several candidates, once the offspring is drawn: its untrained loss on the examples of
        the screen, and how many architectures were judged.
    missed : str or None
        With a budget, once it is divided: why it is exceeded, or not fully used.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its bounds, no module of the model matches the config list,
        ``op_names`` names a layer of the network's outputs, or nothing can be removed.

    Examples
    --------
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> pruner = StressPruner(network, [{"op_names": ["0"], "sparse_ratio": 0.5}])
    >>> _, masks = pruner.compress()
    >>> int(masks["0"]["bias"].sum())
    4
    >>> pruner.synthesize(torch.rand(1, 4))[0]
    Linear(in_features=4, out_features=4, bias=True)
    """

    _requested_steps: int | None = None  # what the call of compress that is running asked for
    _given: Mapping[tuple[str, str], Tensor] = {}
    _hooks: StepHooks | None = None  # of a block of stress
    _made_small = False

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
        redundancy: float = 8.0,
        existed_wrappers: dict[str, ModuleWrapper] | None = None,
        **arguments: Any,
    ):
        self.arguments = PrunerArguments.from_mapping(arguments)
        validation.check_kinds(model, evaluator, existed_wrappers, seed)
        validation.check_whole(
            training_steps=training_steps, steps_per_epoch=steps_per_epoch, candidates=candidates
        )
        rules = SharingRules(floor, multiple, worth, redundancy)
        config_list, self._ratios = without_whole_modules(checked_config(config_list, model), model)
        validation.check_combination(self.arguments, config_list, budget, candidates, screen)
        self._settings = LayerSettings(self.arguments, stress_overrides or {}, steps_per_epoch)
        self._budget = None
        graph = None
        if example_input is not None:
            graph = ClusterGraph(model, example_input, self.arguments.attention)
        if budget is not None:
            self._budget = Budget(model, graph, budget, rules)
            config_list = [{**config, "sparse_ratio": 0.0} for config in config_list]
        outputs = set() if budget is not None else _output_layers(model, graph)
        self.training_steps = training_steps
        # NNI's scheduled pruners set by these names how often masks are drawn while training
        self.interval_steps = -1
        self.total_times = 1
        self._steps_per_epoch = steps_per_epoch
        self._synthesized = False
        with clear_nni_errors(), LazyClones():
            super().__init__(model, config_list, evaluator, existed_wrappers)
        align_transposed(self._target_spaces)
        try:
            if budget is None:
                keep_outputs(self._target_spaces, outputs, config_list)
                check_targets(self._target_spaces, config_list, self._ratios)
            check_blocks(self._target_spaces, self.arguments)
            self._settings.check_modules(self._target_spaces)
            new = self._module_wrappers.keys() - (existed_wrappers or {}).keys()
            self._inheritance = Inheritance(self._module_wrappers, new)
            self._ancestor = Ancestor(
                self.bound_model,
                self._module_wrappers,
                self._target_spaces,
                self._ratios,
                self._inheritance,
                self.arguments,
                self._settings,
                graph,
                self._budget,
                torch.Generator().manual_seed(seed),
                candidates,
                screen,
                self.update_masks,
                self._redrawn,
            )
        except ValueError:
            self.unwrap_model()
            raise

    @property
    def judged(self) -> Judged | None:
        """How several candidates were judged; None unless they were."""
        return self._ancestor.judged

    @property
    def missed(self) -> str | None:
        """With a budget, once it is divided: why it is exceeded, or not fully used."""
        return self._ancestor.missed

    def _set_default_sparse_granularity(self, target_space: PruningTargetSpace) -> Any:
        if self.arguments.encoding == "synapse":
            return None
        if target_space.type is TargetType.PARAMETER and outputs_come_second(target_space):
            return "in_channel"
        return super()._set_default_sparse_granularity(target_space)

    # The interface of NNI

    def _collect_data(self) -> Masks:
        return active_targets(self._target_spaces)

    def _calculate_metrics(self, data: Masks) -> Masks:
        return self._ancestor.strengths()

    def _generate_sparsity(self, metrics: Masks) -> Masks:
        return self._ancestor.masks_of_a_draw(metrics)

    def wrap_model(self) -> None:
        """Wrap the model as NNI does; the copies left in its modules take no memory."""
        lend(self._module_wrappers.values())
        with LazyClones():
            super().wrap_model()
        if "_ancestor" in vars(self):  # wrapped again
            self._ancestor.masked.wrap_again()

    def unwrap_model(self) -> None:
        """Unwrap the model as NNI does, and mask nothing any more. A block of `stress` is over."""
        self._leave_optimizers()
        if "_ancestor" in vars(self):  # not where arguments are refused
            self._ancestor.take_off()
            self._ancestor.masked.take_off()
        with LazyClones():
            super().unwrap_model()
        give_back(self._module_wrappers.values())

    def _single_compress(self, max_steps: int | None, max_epochs: int | None) -> None:
        if self.evaluator is not None:
            self._fusion_compress(max_steps, max_epochs)
        else:
            validation.check_untrained(self.arguments, max_steps, max_epochs)
            self._inheritance.update()
            self._ancestor.draw_offspring()

    def _fuse_preprocess(self, evaluator: Evaluator) -> None:
        scheduled = self.interval_steps > 0
        self._ancestor.take_off()  # of a training that was interrupted
        self._inheritance.update()
        if self._ancestor.drawn and not scheduled and self._requested_steps is None:
            return  # another compressor trains the offspring on; it only keeps its masks
        planned = self.interval_steps * self.total_times if scheduled else self.training_steps
        self._ancestor.begin(validation.phase_length(self._requested_steps, None, planned, None))
        interval = self.interval_steps if scheduled else None
        evaluator.patch_optimizer_step(
            before_step_tasks=[self._ancestor.before_step],
            after_step_tasks=[lambda: self._ancestor.after_step(interval)],
        )

    def _fuse_postprocess(self, evaluator: Evaluator) -> None:
        self._ancestor.end()

    def compress(
        self, max_steps: int | None = None, max_epochs: int | None = None
    ) -> tuple[torch.nn.Module, Masks]:
        """Train under stress for `max_steps` optimizer steps, then draw the offspring.

        Parameters
        ----------
        max_steps
            Length of the stress phase; `training_steps` by default.
        max_epochs
            The same in epochs, if `max_steps` is not given.

        Returns
        -------
        (model, masks)
            The wrapped model, and {module name: {target name: mask of 0 and 1}}, as NNI's pruners
            return them. Without an example input the structure is learned where the masked model
            first runs; these masks change then, so that layers that must agree do.

        Raises
        ------
        ValueError
            If the length is not known, or a weight is NaN or infinite.
        """
        if self.evaluator is None:  # NNI insists on training where compressors are fused
            self._single_compress(max_steps, max_epochs)
            return self.bound_model, self._remembered(self.get_masks())
        self._requested_steps = validation.phase_length(
            max_steps, max_epochs, self.training_steps, self._steps_per_epoch
        )
        try:
            model, masks = super().compress(self._requested_steps, max_epochs)
            return model, self._remembered(masks)
        finally:
            self._requested_steps = None

    @contextmanager
    def stress(
        self, optimizer: Optimizer | Sequence[Optimizer], steps: int | None = None
    ) -> Iterator[None]:
        """Put the model under stress while you train it in a ``with`` block.

        At the end of the block the offspring is drawn, as by `compress`, or earlier, after `steps`
        steps; `synthesize` then makes the model small. With the same batches, that is bit for bit
        what `compress` does with an evaluator.

        Optimizer steps are counted, not backward passes, so gradients may be accumulated. A step
        that a ``GradScaler`` skips is none. A step by a closure is one, however often the closure
        is called. The model may be trained through ``DistributedDataParallel`` or what
        ``torch.compile`` makes of it.

        Parameters
        ----------
        optimizer
            The optimizer that trains the model, made before the pruner or after it. Of several in a
            list, each must train some of the model; a step counts once all of them have stepped.
        steps
            Length of the stress phase in optimizer steps; `training_steps` by default. It should
            be what the block trains for, as stress follows a schedule. If the block ends earlier,
            a warning says so.

        Raises
        ------
        ValueError
            If the length is not known, an optimizer trains nothing of the model, no step was taken,
            or a weight is NaN or infinite.

        Notes
        -----
        After an exception in the block, or Ctrl-C, the model is unwrapped, with its weights as
        trained, and the optimizers are as they were. A new block begins the phase anew.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        >>> inputs = torch.rand(16, 4)
        >>> pruner = StressPruner(network, [{"op_names": ["0"], "sparse_ratio": 0.5}])
        >>> with pruner.stress(optimizer, steps=20):
        ...     for _ in range(20):
        ...         loss = network(inputs).square().mean()
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...         optimizer.step()
        >>> pruner.synthesize(inputs, optimizer)[0]
        Linear(in_features=4, out_features=4, bias=True)
        """
        validation.check_whole(steps=steps)
        total = validation.phase_length(steps, None, self.training_steps, None)
        validation.check_ready(self.fused_compressors, self._made_small, self._hooks is not None)
        if not self._is_wrapped:
            self.wrap_model()
        parameters = parameters_of(self.bound_model).values()
        optimizers = optimizers_of(optimizer, parameters)
        look = self._ancestor.before_step
        owners = owners_of(parameters, optimizers)
        hooks = StepHooks(
            optimizers,
            lambda index: look(lambda parameter: owners.get(id(parameter), 0) == index),
            self._ancestor.after_step,
        )
        self._hooks = hooks
        try:
            self._inheritance.update()
            self._ancestor.begin(total)
            yield
            if self._hooks is hooks:  # the model was not unwrapped meanwhile
                validation.check_taken(self._ancestor.phase.step, total)
                self._ancestor.end()
                self._leave_optimizers()
        except BaseException:
            if self._hooks is hooks:
                self.unwrap_model()
            raise

    def _leave_optimizers(self) -> None:
        """Leave the optimizers of a block of stress as they were."""
        if self._hooks is not None:
            self._hooks.remove()
            self._hooks = None

    def get_masks(self) -> Masks:
        """The masks in the wrappers, as NNI's pruners return them.

        On the meta device, where these have no values, those that were drawn, on the CPU.
        """
        with LazyClones():
            masks: Masks = super().get_masks()
        for module, targets in self._inheritance.current().items():
            for target, known in targets.items():
                if known is not None and masks[module][target].is_meta:
                    masks[module][target] = known
        return masks

    def _remembered(self, masks: Masks) -> Masks:
        """Masks that are given away; they change once the structure is learned."""
        self._given = WeakValueDictionary()  # nothing to change if nobody keeps them
        if self._ancestor.masked.draw is None:
            for module, targets in masks.items():
                for target, mask in targets.items():
                    if mask is not None:
                        self._given[module, target] = mask
        return masks

    def _redrawn(self) -> None:
        """Change the masks that were given away, as the structure is known now."""
        masks = self.get_masks()
        for (module, target), given in self._given.items():
            given.data = masks[module][target]

    def stress_state(self) -> dict[str, Any]:
        """A snapshot of the network and of stress, between two steps of the training under stress.

        Returns
        -------
        dict
            Tensors and plain data. The tensors are shared with the training, not copied. The state
            of the optimizer, and of what the training draws from, is not among them.
        """
        return self._ancestor.state()

    def restore_stress(self, state: Mapping[str, Any]) -> None:
        """Resume a training under stress, which must have begun, from a snapshot.

        Parameters
        ----------
        state
            What `stress_state` of a pruner with the same arguments returned.

        Raises
        ------
        ValueError, KeyError, RuntimeError
            If it is the state of another network.
        """
        self._ancestor.restore(state)

    def synthesize(
        self, example_input: Any, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.nn.Module:
        """Unwrap the model and make it physically small. The pruner cannot be used afterwards.

        Parameters
        ----------
        example_input
            One batch of inputs, a tensor or a tuple of tensors.
        optimizer
            An optimizer that trained the model, before or while it was wrapped. It then trains the
            offspring, and its state of the surviving synapses (momentum, second moments) is kept.
            If its state of a parameter has tensors of other shapes than the parameter's, as that of
            Adafactor, that state is dropped.

        Returns
        -------
        torch.nn.Module
            The offspring: the model itself, with small layers.

        Raises
        ------
        ValueError
            If the network does not run on the example input, or it was unwrapped, for example as
            a block of `stress` was interrupted.
        nni_stress.exceptions.SynthesisError
            If the offspring does not compute what the masked model does. The model is left whole.
        """
        validation.check_drawn(self._is_wrapped, self._hooks is not None)
        masked = self._ancestor.masked
        if masked.draw is None:
            masked.learn(example_input)
        self._ancestor.check_removable()
        masks = self._inheritance.current()
        self._inheritance.release()
        self.unwrap_model()
        self._made_small = True
        release(self._module_wrappers.values(), self.bound_model)
        draw = masked.draw
        assert draw is not None
        return synthesis.synthesize(
            self.bound_model, example_input, masks, optimizer, draw.graph, draw.removed
        )


def _output_layers(model: nn.Module, graph: ClusterGraph | None) -> set[str]:
    """Layers whose outputs are those of the network, as far as they are known."""
    return output_layers(model) if graph is None else graph.output_layers
