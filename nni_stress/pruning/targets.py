"""Access to the pruning targets of NNI: the weights, biases and outputs that masks apply to.

A target space is NNI's record of one target of one module: its settings, its mask, and its scaler,
which maps between a value for each cluster (output channel or neuron) and one for each synapse
(weight). The public accessors of NNI copy all settings, or the whole network, at every call, which
is too slow for every training step. So its private members are read here, and nowhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nni.compression.base.target_space import PruningTargetSpace, TargetType
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.utils.scaling import Scaling
from torch import Tensor, nn

Masks = dict[str, dict[str, Tensor]]
"""{module name: {target name: tensor}}"""

TargetSpaces = Mapping[str, Mapping[str, PruningTargetSpace]]
"""{module name: {target name: target space}}"""

Target = tuple[str, str, PruningTargetSpace]
"""(module name, target name, target space)"""


def settings_of(space: PruningTargetSpace) -> Mapping[str, Any]:
    """Settings of a target, not copied."""
    settings: Mapping[str, Any] = space._setting  # noqa: SLF001, space.setting copies all deeply
    return settings


def set_settings(space: PruningTargetSpace, settings: Mapping[str, Any]) -> None:
    """Replace the settings of a target."""
    space._setting = settings  # noqa: SLF001, NNI has no public way for most settings


def scaler_of(space: PruningTargetSpace) -> Scaling | None:
    """The scaler of a target; None where every synapse is a cluster of its own."""
    return space._scaler  # noqa: SLF001, NNI has no public accessor


def replace_mask(space: PruningTargetSpace, mask: Tensor) -> None:
    """Let a wrapper use this very tensor as its mask; the setter of NNI copies into the old one."""
    space._set_wrapper_attr(space._mask_name, mask)  # noqa: SLF001, NNI has no public way


def runs_extra_functions(wrapper: ModuleWrapper) -> bool:
    """Whether a wrapper calls functions on its inputs and outputs beyond NNI's own one."""
    return len(wrapper._track_funcs) != 1  # noqa: SLF001, NNI has no public accessor


def unwrapped_copy(network: nn.Module) -> nn.Module:
    """Copy a network, without the wrappers that another compressor left on it."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        wrapper = getattr(module, "_nni_wrapper", None)
        if isinstance(wrapper, ModuleWrapper):
            wrapper.unwrap()
    return network


@contextmanager
def other_settings(spaces: list[PruningTargetSpace], **settings: Any) -> Iterator[None]:
    """Let NNI's rules see other settings of some targets within a block."""
    before = [settings_of(space) for space in spaces]
    try:
        for space in spaces:
            set_settings(space, {**settings_of(space), **settings})
        yield
    finally:
        for space, old in zip(spaces, before):
            set_settings(space, old)


def ordered(spaces: TargetSpaces) -> Iterator[Target]:
    """All targets, in an order that is the same in every process; NNI's order is not."""
    for module_name in sorted(spaces):
        for target_name in sorted(spaces[module_name]):
            yield module_name, target_name, spaces[module_name][target_name]


def is_parameter(space: PruningTargetSpace) -> bool:
    """Whether a target is a weight or a bias, not an input or an output of a module."""
    return space.type is TargetType.PARAMETER


def is_active(space: PruningTargetSpace) -> bool:
    """Whether a target has a sparsity of its own to reach, as NNI's ``is_active_target``."""
    settings = settings_of(space)
    return settings.get("sparse_ratio") is not None or settings.get("sparse_threshold") is not None


def active_targets(spaces: TargetSpaces) -> Masks:
    """Tensors of the active targets, as NNI's ``active_sparse_targets_filter``, but not copied."""
    return {
        module: {name: space.target.detach() for name, space in targets.items() if is_active(space)}
        for module, targets in spaces.items()
        if any(map(is_active, targets.values()))
    }


def group_of(space: PruningTargetSpace) -> Hashable | None:
    """Name of the group of layers that lose the same clusters; None for a layer by itself."""
    group: Hashable | None = settings_of(space).get("dependency_group_id")
    return group


def draw_key(module: str, target: str, space: PruningTargetSpace) -> Hashable:
    """Key of a random draw, shared by layers that lose the same clusters."""
    group = group_of(space)
    return (module, target) if group is None else group


def per_cluster(
    space: PruningTargetSpace, values: Tensor, reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Reduce a value for each synapse to one for each cluster, keeping the number of dimensions."""
    scaler = scaler_of(space)
    if scaler is None:
        return values
    reduced: Tensor = scaler.shrink(values, reduce, keepdim=True)
    return reduced


def largest(values: Tensor) -> Tensor:
    """Largest value over the last dimension, for :func:`per_cluster`."""
    return values.amax(-1)


def unstressed(space: PruningTargetSpace) -> Tensor:
    """A factor of 1 for every synapse of a target, which takes no memory for them."""
    return space.mask.new_ones(()).expand(space.shape)


def per_synapse(space: PruningTargetSpace, factor: Tensor) -> Tensor:
    """Expand a factor of each cluster to its synapses, without memory for these if possible."""
    shape = space.shape
    scaler = scaler_of(space)
    if scaler is not None and any(
        size not in (1, whole) for size, whole in zip(factor.shape, shape)
    ):
        factor = scaler.expand(factor, shape, keepdim=True, full_expand=False)
    return factor.to(space.mask.dtype).expand(shape)


def spread_to_aligned(spaces: TargetSpaces, factors: Masks) -> None:
    """Give aligned targets the factors of what they are aligned to, in place.

    The bias of a layer, for example, feels the same stress as the weights of its clusters.

    Parameters
    ----------
    spaces
        All targets.
    factors
        Factor of each synapse of the targets under stress; those of aligned targets are added.
    """
    if not factors:
        return
    for module, target, space in ordered(spaces):
        align = settings_of(space).get("align")
        if not align or not is_parameter(space) or space.target is None:
            continue
        source = factors.get(align["module_name"] or module, {}).get(align["target_name"])
        if source is not None:
            factors.setdefault(module, {})[target] = _aligned(space, source, align["dims"])


def _aligned(space: PruningTargetSpace, factor: Tensor, dims: list[int]) -> Tensor:
    """The factor, reduced to its dimensions `dims` and expanded to the shape of a target."""
    kept = {dimension % factor.dim() for dimension in dims}
    for dimension in sorted(set(range(factor.dim())) - kept, reverse=True):
        alike = factor.stride(dimension) == 0  # most often one factor for a whole cluster
        factor = factor.select(dimension, 0) if alike else factor.amax(dimension)
    scaler = scaler_of(space)
    if scaler is not None and list(factor.shape) != space.shape:  # as NNI's rules align shapes
        factor = scaler.expand(factor, space.shape)
    return factor.to(space.mask.dtype).expand(space.shape)
