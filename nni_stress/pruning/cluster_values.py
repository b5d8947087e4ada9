"""From a value for each synapse (weight) to one for each cluster, and back.

A cluster is an output channel or neuron. NNI's scalers define which synapses belong to it.
"""

from __future__ import annotations

from collections.abc import Callable

from nni.compression.base.target_space import PruningTargetSpace
from torch import Tensor

from .targets import Masks, TargetSpaces, is_parameter, ordered, scaler_of, settings_of


def per_cluster(
    space: PruningTargetSpace, values: Tensor, reduce: Callable[[Tensor], Tensor]
) -> Tensor:
    """Reduce a value for each synapse to one for each cluster, keeping the number of dimensions.

    Examples
    --------
    >>> import torch
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> register_scalers({"layer": {"weight": space}}, lambda space: "out_channel")
    >>> per_cluster(space, torch.tensor([[1.0, 2.0]] * 4), largest).flatten()
    tensor([2., 2., 2., 2.])
    """
    scaler = scaler_of(space)
    if scaler is None:
        return values
    reduced: Tensor = scaler.shrink(values, reduce, keepdim=True)
    return reduced


def largest(values: Tensor) -> Tensor:
    """Largest value over the last dimension, for :func:`per_cluster`.

    Examples
    --------
    >>> import torch
    >>> largest(torch.tensor([[1.0, 2.0], [4.0, 3.0]]))
    tensor([2., 4.])
    """
    return values.amax(-1)


def known_values(values: Tensor) -> Tensor:
    """Values; ones on the CPU for those on the meta device, which has none: all are alike.

    Examples
    --------
    >>> import torch
    >>> known_values(torch.empty(2, device="meta"))
    tensor([1., 1.])
    """
    return values.new_ones(values.shape, device="cpu") if values.is_meta else values


def unstressed(space: PruningTargetSpace) -> Tensor:
    """A factor of 1 for every synapse of a target, which takes no memory for them.

    Examples
    --------
    >>> import torch
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> unstressed(space).shape, unstressed(space).stride()
    (torch.Size([4, 2]), (0, 0))
    """
    return space.mask.new_ones(()).expand(space.shape)


def per_synapse(space: PruningTargetSpace, factor: Tensor) -> Tensor:
    """Expand a factor of each cluster to its synapses, without memory for these if possible.

    Examples
    --------
    >>> import torch
    >>> from nni.compression.base.compressor import register_scalers
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> space = wrapper.pruning_target_spaces["weight"]
    >>> register_scalers({"layer": {"weight": space}}, lambda space: "out_channel")
    >>> per_synapse(space, torch.tensor([[1.0], [0.0], [1.0], [1.0]]))[1]
    tensor([0., 0.])
    """
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

    Examples
    --------
    >>> import torch
    >>> from nni.compression.base.wrapper import ModuleWrapper
    >>> from torch import nn
    >>> config = {"pruning": {"sparse_ratio": 0.5}}
    >>> wrapper = ModuleWrapper(nn.Linear(2, 4), "layer", config)
    >>> spaces = {"layer": wrapper.pruning_target_spaces}
    >>> factors = {"layer": {"weight": torch.tensor([[1.0], [0.5], [1.0], [1.0]]).expand(4, 2)}}
    >>> spread_to_aligned(spaces, factors)
    >>> factors["layer"]["bias"]
    tensor([1.0000, 0.5000, 1.0000, 1.0000])
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
