"""Access to the pruning targets of NNI: the weights, biases and outputs that masks apply to.

A target space is NNI's record of one target of one module: its settings, its mask, and its scaler,
which maps between a value for each cluster (output channel or neuron) and one for each synapse
(weight). The public accessors of NNI copy all settings, or the whole network, at every call, which
is too slow for every training step. So its private members are read here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from nni.compression.base.target_space import PruningTargetSpace, TargetType
from nni.compression.base.wrapper import ModuleWrapper
from nni.compression.utils.scaling import Scaling
from torch import Tensor, nn

from ..graph.grouping import output_dim
from ..graph.patched_forward import undo_all
from ..utils.module_copies import copy_of

Masks = dict[str, dict[str, Tensor]]
"""{module name: {target name: tensor}}"""

TargetSpaces = Mapping[str, Mapping[str, PruningTargetSpace]]
"""{module name: {target name: target space}}"""

Target = tuple[str, str, PruningTargetSpace]
"""(module name, target name, target space)"""


def settings_of(space: PruningTargetSpace) -> Mapping[str, Any]:
    """Settings of a target, not copied.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> settings_of(space)["sparse_ratio"]
    0.5
    """
    settings: Mapping[str, Any] = space._setting  # noqa: SLF001, space.setting copies all deeply
    return settings


def set_settings(space: PruningTargetSpace, settings: Mapping[str, Any]) -> None:
    """Replace the settings of a target.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> set_settings(space, {**settings_of(space), "sparse_ratio": 0.25})
    >>> space.sparse_ratio
    0.25
    """
    space._setting = settings  # noqa: SLF001, NNI has no public way for most settings


def scaler_of(space: PruningTargetSpace) -> Scaling | None:
    """The scaler of a target; None where every synapse is a cluster of its own.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> scaler_of(space) is None
    True
    """
    return space._scaler  # noqa: SLF001, NNI has no public accessor


def outputs_come_second(space: PruningTargetSpace) -> bool:
    """Whether the outputs of a target's module go by the second dimension of its weight.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.ConvTranspose2d(2, 4, 3), "layer", config)
    >>> outputs_come_second(wrapper.pruning_target_spaces["weight"])
    True
    """
    return output_dim(space._wrapper.module) == 1  # noqa: SLF001, NNI has no public accessor


def align_transposed(spaces: TargetSpaces) -> None:
    """Align the bias of transposed convolutions to outputs; NNI aligns it to the inputs.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> spaces = ModuleWrapper(nn.ConvTranspose2d(2, 4, 3), "layer", config).pruning_target_spaces
    >>> align_transposed({"layer": spaces})
    >>> settings_of(spaces["bias"])["align"]["dims"]
    [1]
    """
    for targets in spaces.values():
        for space in targets.values():
            align = settings_of(space).get("align")
            if align and align["module_name"] is None and outputs_come_second(space):
                set_settings(space, {**settings_of(space), "align": {**align, "dims": [1]}})


def replace_mask(space: PruningTargetSpace, mask: Tensor | None) -> None:
    """Let a wrapper use this very tensor as its mask; the setter of NNI copies into the old one.

    Examples
    --------
    >>> import torch
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> mask = torch.zeros(4, 2)
    >>> replace_mask(space, mask)
    >>> space.mask is mask
    True
    """
    space._set_wrapper_attr(space._mask_name, mask)  # noqa: SLF001, NNI has no public way


def unwrapped_copy(network: nn.Module) -> nn.Module:
    """Copy a network without what compressors put around its modules. The weights are shared.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> wrapper.wrap()
    >>> copied = unwrapped_copy(wrapper.module)
    >>> hasattr(copied, "_nni_wrapper"), copied.weight is wrapper.weight
    (False, True)
    """
    copies = [
        tensor
        for wrapper in network.modules()
        if isinstance(wrapper, ModuleWrapper)
        for module in (wrapper, wrapper.module)
        for tensor in module.buffers(recurse=False)
    ]
    network = copy_of(network, [*network.parameters(), *copies])
    undo_all(network)
    for module in list(network.modules()):
        wrapper = getattr(module, "_nni_wrapper", None)
        if isinstance(wrapper, ModuleWrapper):
            parameters = dict(wrapper.named_parameters(recurse=False))
            for name in parameters:  # shown while it is bypassed
                vars(module).pop(name, None)
            wrapper.unwrap()
            for name, parameter in parameters.items():
                setattr(module, name, parameter)  # NNI leaves a copy
    return network


@contextmanager
def other_settings(spaces: list[PruningTargetSpace], **settings: Any) -> Iterator[None]:
    """Let NNI's rules see other settings of some targets within a block.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> with other_settings([space], sparse_ratio=0.75):
    ...     space.sparse_ratio
    0.75
    >>> space.sparse_ratio
    0.5
    """
    before = [settings_of(space) for space in spaces]
    try:
        for space in spaces:
            set_settings(space, {**settings_of(space), **settings})
        yield
    finally:
        for space, old in zip(spaces, before):
            set_settings(space, old)


def ordered(spaces: TargetSpaces) -> Iterator[Target]:
    """All targets, in an order that is the same in every process; NNI's order is not.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> [(module, target) for module, target, _ in ordered(spaces)]
    [('layer', 'bias'), ('layer', 'weight')]
    """
    for module_name in sorted(spaces):
        for target_name in sorted(spaces[module_name]):
            yield module_name, target_name, spaces[module_name][target_name]


def is_parameter(space: PruningTargetSpace) -> bool:
    """Whether a target is a weight or a bias, not an input or an output of a module.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> is_parameter(space)
    True
    """
    return space.type is TargetType.PARAMETER


def is_active(space: PruningTargetSpace) -> bool:
    """Whether a target has a sparsity of its own to reach, as NNI's ``is_active_target``.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> is_active(space), is_active(wrapper.pruning_target_spaces["bias"])
    (True, False)
    """
    settings = settings_of(space)
    return settings.get("sparse_ratio") is not None or settings.get("sparse_threshold") is not None


def active_targets(spaces: TargetSpaces) -> Masks:
    """Tensors of the active targets, as NNI's ``active_sparse_targets_filter``, but not copied.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> {name: list(targets) for name, targets in active_targets(spaces).items()}
    {'layer': ['weight']}
    """
    return {
        module: {name: space.target.detach() for name, space in targets.items() if is_active(space)}
        for module, targets in spaces.items()
        if any(map(is_active, targets.values()))
    }


def group_of(space: PruningTargetSpace) -> Hashable | None:
    """Name of the group of layers that lose the same clusters; None for a layer by itself.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> group_of(space) is None
    True
    """
    group: Hashable | None = settings_of(space).get("dependency_group_id")
    return group


def trained_tensors(network: nn.Module, spaces: TargetSpaces) -> dict[str, Tensor]:
    """Parameters and buffers of a wrapped network, by name.

    The masks are not among them, nor are the buffers that a wrapper sets to masked parameters at
    each forward pass.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 4))
    >>> wrapper = ModuleWrapper(network[0], "0", {"pruning": {"sparse_ratio": 0.5}})
    >>> wrapper.wrap()
    >>> list(trained_tensors(network, {"0": wrapper.pruning_target_spaces}))
    ['0._nni_wrapper.weight', '0._nni_wrapper.bias']
    """
    found: dict[str, Tensor] = dict(network.named_parameters())
    for name, module in network.named_modules():
        if isinstance(module, ModuleWrapper):
            continue
        for buffer_name, buffer in module.named_buffers(recurse=False):
            if buffer_name not in spaces.get(name, {}):
                found[f"{name}.{buffer_name}"] = buffer
    return found


def draw_key(module: str, target: str, space: PruningTargetSpace) -> Hashable:
    """Key of a random draw, shared by layers that lose the same clusters.

    Examples
    --------
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> draw_key("layer", "weight", space)
    ('layer', 'weight')
    """
    group = group_of(space)
    return (module, target) if group is None else group
