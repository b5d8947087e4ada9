"""The masks by which a network feels stress, and how its layers feel them, for as long as it trains under stress."""

from __future__ import annotations

from collections.abc import Collection

import torch
from nni.compression.base.target_space import PruningTargetSpace
from nni.compression.base.wrapper import ModuleWrapper
from torch import Tensor, nn

from .sampler import Masks

_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
)  # the outputs of a cluster depend on its own weights and bias alone


class StressedMasks:
    """Lends a pruner's wrappers masks that need no memory of their own: one factor for a cluster, expanded.

    NNI copies every mask it is given, which for large layers takes as long as a good part of a training step.

    Parameters
    ----------
    pruner
        The StressPruner.
    """

    def __init__(self, pruner):
        self._pruner, self._own = pruner, {}  # {target space: the mask that was there}
        self._layers: dict[str, _StressedLayer | None] = {}  # None: its wrapper does more

    def put_on(self, masks: Masks, silence: Collection[str]) -> None:
        """Train with these from here on, less what earlier generations removed.

        Parameters
        ----------
        masks
            {module: {target: factor of each synapse}}.
        silence
            The modules whose factors are 0 or 1.
        """
        masks = self._pruner.keep_removed(masks)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return self._pruner.update_masks(
                masks
            )  # processes send each other their buffers, which must be whole
        for module_name, targets in masks.items():
            spaces = self._pruner._target_spaces[module_name]
            for target_name, mask in targets.items():
                space = spaces[target_name]
                if space not in self._own:
                    self._own[space] = space.mask
                space._set_wrapper_attr(space._mask_name, mask)
            if module_name not in self._layers:
                self._layers[module_name] = self._stressed_layer(module_name)
            layer = self._layers[module_name]
            if layer is not None:
                layer.silenced = module_name in silence and layer.whole == set(targets)
        return None

    def _stressed_layer(self, module_name: str) -> _StressedLayer | None:
        wrapper = self._pruner._module_wrappers[module_name]
        if not _may_bypass(wrapper):
            return None
        return _StressedLayer(
            wrapper, any(module_name == module for module, _ in self._pruner.removing)
        )

    def take_off(self) -> None:
        """Give every wrapper its own mask back, and its layer to NNI."""
        for space, mask in self._own.items():
            space._set_wrapper_attr(space._mask_name, mask)
        for layer in filter(None, self._layers.values()):
            layer.leave()
        self._own, self._layers = {}, {}


class _StressedLayer:
    """Stands in for the wrapper of a layer while that is under stress: the same outputs and gradients, bit for bit, sooner.

    NNI multiplies every weight by its mask at each pass, and every gradient again. For a layer with more weights than
    outputs, silencing the outputs of a cluster instead of its weights spares that.

    Parameters
    ----------
    wrapper
        The layer's.
    removing
        Whether earlier generations removed some of it.
    """

    def __init__(self, wrapper: ModuleWrapper, removing: bool):
        self._wrapper, self.silenced, self._outputs = wrapper, False, 0
        self._spaces = {
            name: space
            for name, space in wrapper.pruning_target_spaces.items()
            if space.target is not None
        }
        self.whole = (
            None if removing else set(self._spaces)
        )  # the targets that are masked where a whole cluster is
        wrapper.module.forward = self.forward

    def leave(self) -> None:
        if self._wrapper.module.forward == self.forward:  # else it was unwrapped meanwhile
            self._wrapper.module.forward = self._wrapper.forward

    def forward(self, *args, **kwargs) -> Tensor:
        wrapper, silent = self._wrapper, None
        if self.silenced and self._outputs < wrapper.weight.numel():
            silent = _of_clusters(wrapper.weight_mask)
        for (
            name,
            space,
        ) in (
            self._spaces.items()
        ):  # a view is no parameter of the layer's own, which would be trained twice
            target = space.target
            setattr(
                wrapper.module,
                name,
                target * space.mask if silent is None else target.view_as(target),
            )
        outputs = wrapper.module_forward(*args, **kwargs)
        self._outputs = outputs.numel()
        if silent is None:
            return outputs
        silent = silent.to(outputs.dtype)
        return outputs * silent.view(-1, *[1] * (wrapper.weight.dim() - 2))


def _may_bypass(wrapper: ModuleWrapper) -> bool:
    """Whether all that a wrapper does is to multiply the weights and the bias of a layer by masks, alike for each cluster."""
    if type(wrapper) is not ModuleWrapper or type(wrapper.module) not in _LAYERS:
        return False
    spaces = wrapper.pruning_target_spaces
    return (
        wrapper.module.forward == wrapper.forward
        and len(wrapper._track_funcs) == 1
        and not (
            wrapper.quantization_target_spaces
            or wrapper.distillation_target_spaces
            or wrapper.fused_modules
        )
        and "weight" in spaces
        and set(spaces) <= {"weight", "bias"}
        and all(space.apply_method == "mul" for space in spaces.values())
        and _goes_with_weights(spaces.get("bias"), wrapper)
    )


def _goes_with_weights(bias: PruningTargetSpace | None, wrapper: ModuleWrapper) -> bool:
    if bias is None:
        return wrapper.module.bias is None
    align = bias._setting.get("align") or {}
    return bias.target is None or (
        align.get("target_name") == "weight" and align.get("module_name") in (None, wrapper.name)
    )


def _of_clusters(mask: Tensor) -> Tensor | None:
    """The factor of each output cluster, where a mask is one such factor expanded; else None."""
    alike = all(
        stride == 0 or size == 1 for size, stride in list(zip(mask.shape, mask.stride()))[1:]
    )
    return mask[(slice(None), *[0] * (mask.dim() - 1))] if alike else None


def compact(mask: Tensor) -> Tensor:
    """A copy of a mask; of one that is alike for each cluster, without memory for its synapses."""
    if mask.dim() < 2:
        return mask.clone()
    clusters = mask[(slice(None), *[slice(1)] * (mask.dim() - 1))]
    return (
        clusters.clone().expand_as(mask)
        if torch.equal(clusters.expand_as(mask), mask)
        else mask.clone()
    )
