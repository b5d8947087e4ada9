"""The masks by which a network feels stress while it trains."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from nni.compression.base.target_space import PruningTargetSpace
from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn

from .inheritance import Inheritance
from .targets import Masks, TargetSpaces, replace_mask, runs_extra_functions, settings_of

# Each output of these depends on the weights and the bias of one cluster alone.
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


class StressedMasks:
    """Lends wrappers masks that take no memory for synapses: one factor per cluster, expanded.

    NNI copies every mask it is given. For large layers, that takes a good part of a training step.

    Parameters
    ----------
    spaces
        All targets of the pruner.
    wrappers
        {module name: NNI's wrapper} of all wrapped modules.
    inheritance
        What earlier generations removed.
    copy_masks
        Copies masks into the wrappers, as NNI's ``update_masks``.

    Examples
    --------
    >>> network = nn.Linear(2, 4)
    >>> wrapper = ModuleWrapper(network, "layer", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.wrap()
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> wrappers = {"layer": wrapper}
    >>> masks = StressedMasks(spaces, wrappers, Inheritance(wrappers), lambda masks: None)
    >>> masks.put_on({"layer": {"weight": torch.zeros(()).expand(4, 2)}}, silent=["layer"])
    >>> bool((network(torch.ones(1, 2)) == wrapper.bias).all())
    True
    >>> masks.take_off()
    >>> int(spaces["layer"]["weight"].mask.sum())
    8
    """

    def __init__(
        self,
        spaces: TargetSpaces,
        wrappers: Mapping[str, ModuleWrapper],
        inheritance: Inheritance,
        copy_masks: Callable[[Masks], None],
    ):
        self._spaces = spaces
        self._wrappers = wrappers
        self._inheritance = inheritance
        self._copy_masks = copy_masks
        self._original: dict[PruningTargetSpace, Tensor] = {}
        self._layers: dict[str, _StressedLayer | None] = {}  # None: its wrapper does more

    def put_on(self, masks: Masks, silent: Collection[str]) -> None:
        """Train with these masks from now on, less what earlier generations removed.

        Parameters
        ----------
        masks
            {module name: {target name: factor of each synapse}}, changed in place.
        silent
            Names of the modules whose factors are 0 or 1.
        """
        masks = self._inheritance.keep_removed(masks)
        if in_several_processes():  # they send each other their masks, which must be whole
            self._copy_masks(masks)
            return
        for module_name, targets in masks.items():
            for target_name, mask in targets.items():
                space = self._spaces[module_name][target_name]
                if space not in self._original:
                    self._original[space] = space.mask
                replace_mask(space, mask)
            if module_name not in self._layers:
                self._layers[module_name] = self._stressed_layer(module_name)
            layer = self._layers[module_name]
            if layer is not None:
                layer.silenced = module_name in silent and layer.whole == set(targets)

    def _stressed_layer(self, module_name: str) -> _StressedLayer | None:
        wrapper = self._wrappers[module_name]
        if not _can_be_replaced(wrapper):
            return None
        return _StressedLayer(wrapper, self._inheritance.lacks_part_of(module_name))

    def state(self) -> dict[str, Any]:
        """The masks that are put on, and how each layer applies its own."""
        return {
            "masks": {
                module: {name: space.mask for name, space in targets.items() if self._lends(space)}
                for module, targets in self._spaces.items()
            },
            "layers": {
                module: layer.state() for module, layer in self._layers.items() if layer is not None
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put on what `state` returned, in place of other masks that are put on.

        Raises
        ------
        KeyError
            If these are not masks of the same targets.
        """
        for module, targets in self._spaces.items():
            for name, space in targets.items():
                if self._lends(space):
                    replace_mask(space, state["masks"][module][name])
        for module, layer in self._layers.items():
            if layer is not None:
                layer.restore(state["layers"][module])

    def _lends(self, space: PruningTargetSpace) -> bool:
        return space in self._original

    def take_off(self) -> None:
        """Give every wrapper its own mask back, and its forward pass."""
        for space, mask in self._original.items():
            replace_mask(space, mask)
        for layer in self._layers.values():
            if layer is not None:
                layer.leave()
        self._original = {}
        self._layers = {}


def in_several_processes() -> bool:
    """Whether the training is distributed over processes.

    Examples
    --------
    >>> in_several_processes()
    False
    """
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class _StressedLayer:
    """Replaces the forward pass of a wrapper under stress by a faster one with identical results.

    NNI multiplies all weights by their mask at each forward pass, and all gradients again. For a
    layer with more weights than outputs, silencing the outputs of a cluster is cheaper.

    Parameters
    ----------
    wrapper
        Wrapper of the layer.
    lacks_part
        Whether earlier generations removed some of the layer.
    """

    def __init__(self, wrapper: ModuleWrapper, lacks_part: bool):
        self.silenced = False
        self._wrapper = wrapper
        self._outputs = 0
        self._spaces = {
            name: space
            for name, space in wrapper.pruning_target_spaces.items()
            if space.target is not None
        }
        # the targets that are masked where a whole cluster is; unknown if some is missing
        self.whole: set[str] | None = None if lacks_part else set(self._spaces)
        wrapper.module.forward = self.forward

    def state(self) -> tuple[bool, int]:
        """Which of its ways of applying masks the layer takes depends on these."""
        return self.silenced, self._outputs

    def restore(self, state: tuple[bool, int]) -> None:
        """Set what `state` returned."""
        self.silenced, self._outputs = state

    def leave(self) -> None:
        """Restore the wrapper's own forward pass, unless the module was unwrapped meanwhile."""
        if self._wrapper.module.forward == self.forward:
            self._wrapper.module.forward = self._wrapper.forward

    def forward(self, *args: object, **kwargs: object) -> Tensor:
        """Forward pass of the layer under stress."""
        wrapper = self._wrapper
        factors = None
        if self.silenced and self._outputs < wrapper.weight.numel():
            factors = _cluster_factors(wrapper.weight_mask)
        for name, space in self._spaces.items():
            # a view, as the parameter itself would register with the module and be trained twice
            target = space.target
            masked = target * space.mask if factors is None else target.view_as(target)
            setattr(wrapper.module, name, masked)
        outputs: Tensor = wrapper.module_forward(*args, **kwargs)
        self._outputs = outputs.numel()
        if factors is None:
            return outputs
        factors = factors.to(outputs.dtype)
        return outputs * factors.view(-1, *[1] * (wrapper.weight.dim() - 2))


def _can_be_replaced(wrapper: ModuleWrapper) -> bool:
    """Whether a wrapper only multiplies weights and bias by masks, alike for each cluster."""
    if type(wrapper) is not ModuleWrapper or type(wrapper.module) not in _LAYERS:
        return False
    spaces = wrapper.pruning_target_spaces
    return (
        wrapper.module.forward == wrapper.forward
        and not runs_extra_functions(wrapper)
        and not (
            wrapper.quantization_target_spaces
            or wrapper.distillation_target_spaces
            or wrapper.fused_modules
        )
        and "weight" in spaces
        and set(spaces) <= {"weight", "bias"}
        and all(space.apply_method == "mul" for space in spaces.values())
        and _is_aligned_to_weight(spaces.get("bias"), wrapper)
    )


def _is_aligned_to_weight(bias: PruningTargetSpace | None, wrapper: ModuleWrapper) -> bool:
    if bias is None:
        return wrapper.module.bias is None
    align = settings_of(bias).get("align") or {}
    return bias.target is None or (
        align.get("target_name") == "weight" and align.get("module_name") in (None, wrapper.name)
    )


def _cluster_factors(mask: Tensor) -> Tensor | None:
    """Factor of each output cluster if the mask expands one such factor, else None."""
    inner = list(zip(mask.shape, mask.stride()))[1:]
    if not all(stride == 0 or size == 1 for size, stride in inner):
        return None
    index: tuple[slice | int, ...] = (slice(None), *[0] * (mask.dim() - 1))
    return mask[index]
