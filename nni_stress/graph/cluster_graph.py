"""Which clusters of a network are removed together, and what the network costs without them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from nni.common.concrete_trace_utils import concrete_trace
from numpy.typing import NDArray
from torch import nn

from ..utils.batches import arguments_of
from ..utils.messages import one_line
from ..utils.module_modes import evaluating
from . import cost
from .grouping import find_groups, group_indices, reasons_to_stay, roots_of
from .label_propagation import FIXED, LabelPropagation, Layer, depthwise
from .output_layers import layers_before_output
from .resizing import resize, resize_norm


class LayerSlots(NamedTuple):
    """Clusters (output channels or neurons) that a linear or convolution layer is connected to.

    Parameters
    ----------
    outputs
        The cluster of each output channel.
    inputs
        The cluster that each input slot reads from. Several slots may read from one cluster, as
        behind a flattened convolution.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 1))
    >>> ClusterGraph(network, torch.rand(1, 1, 4, 4)).slots["2"]
    LayerSlots(outputs=[3], inputs=[1, 1, 1, 1, 2, 2, 2, 2])
    """

    outputs: list[int]
    inputs: list[int]


class ClusterGraph:
    """Groups of clusters of a network, and what the network costs for any number of survivors.

    A cluster is an output channel of a convolution or a neuron of a linear layer. Clusters are
    identified by numbers; ``FIXED`` stands for whatever belongs to no cluster, as the network's
    inputs.

    Parameters
    ----------
    network
        Any network that NNI can trace. Its mode and its weights are left alone.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.

    Attributes
    ----------
    inputs : tuple
        The positional arguments that `example_input` stands for.
    groups : list of Group
        Clusters that are removed together. Every layer is in exactly one group.
    clusters : list of list of int
        For each group, the numbers of its clusters, in the order of the layers' channels.
    slots : dict
        For each linear and convolution layer, its :class:`LayerSlots`.
    norm_slots : dict
        For each batch and instance norm, the cluster of each of its channels.
    reasons : dict
        For each layer whose clusters must all stay, why.
    outputs : set of int
        The clusters that reach the network's output.

    Raises
    ------
    ValueError
        If the network cannot be traced or followed.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> [(group.layers, group.clusters, group.frozen) for group in graph.groups]
    [(('0',), 6, False), (('2',), 2, True)]
    >>> int(graph.parameters([6, 2])), int(graph.parameters([3, 2]))
    (44, 23)
    """

    def __init__(self, network: nn.Module, example_input: Any):
        self.inputs = arguments_of(example_input)
        labels = _follow(network, self.inputs)
        self.groups, self.clusters = find_groups(labels)
        self.slots = {
            name: LayerSlots(roots_of(layer.outputs, labels), roots_of(layer.inputs, labels))
            for name, layer in labels.layers.items()
        }
        self.norm_slots = {
            name: roots_of(channels, labels) for name, (_, channels) in labels.norms.items()
        }
        self.reasons = reasons_to_stay(labels, self.groups, self.clusters)
        self.outputs = {labels.root(label) for label in labels.outputs} - {FIXED}
        for layer in layers_before_output(labels.graph, network) & set(self.slots):
            if layer in self.reasons:
                self.outputs.update(set(self.slots[layer].outputs) - {FIXED})
                self.reasons[layer] = "reaches the network's output"
        group_of = group_indices(self.clusters)
        sizes = [group.clusters for group in self.groups]
        self._layers = {
            name: _CountedLayer.of(
                layer,
                _channels(layer.inputs, labels, group_of, sizes),
                _channels(layer.outputs, labels, group_of, sizes),
            )
            for name, layer in labels.layers.items()
        }
        self._norms = {
            name: _CountedNorm(
                sum(tensor.numel() for tensor in module.parameters(recurse=False))
                / max(len(channels), 1),
                _channels(channels, labels, group_of, sizes),
            )
            for name, (module, channels) in labels.norms.items()
        }
        # What the layers above do not account for, as layer norms: the same for all survivors.
        self._other_parameters = cost.synapses(network) - self._sum_parameters(0, sizes)
        self._other_macs = cost.macs(network, self.inputs) - self._sum_macs(0, sizes)

    @overload
    def parameters(self, keep: Sequence[int]) -> float: ...
    @overload
    def parameters(self, keep: Sequence[NDArray[Any]]) -> NDArray[np.float64]: ...
    def parameters(self, keep: Sequence[Any]) -> Any:
        """Number of weights and biases when group i keeps ``keep[i]`` clusters.

        Parameters
        ----------
        keep
            A number for each group, or an array for each group for several networks at once.

        Returns
        -------
        float or numpy.ndarray
            The number, or an array of numbers in the shape of the arrays.
        """
        return self._sum_parameters(self._other_parameters, keep)

    @overload
    def macs(self, keep: Sequence[int]) -> float: ...
    @overload
    def macs(self, keep: Sequence[NDArray[Any]]) -> NDArray[np.float64]: ...
    def macs(self, keep: Sequence[Any]) -> Any:
        """Multiply-accumulates for one example when group i keeps ``keep[i]`` clusters.

        Parameters and results are those of :meth:`parameters`.
        """
        return self._sum_macs(self._other_macs, keep)

    def _sum_parameters(self, total: Any, keep: Sequence[Any]) -> Any:
        for layer in self._layers.values():
            outputs = layer.outputs.count(keep)
            biases = outputs if layer.has_bias else 0
            total += outputs * layer.fan_in(keep) * layer.kernel + biases
        norms = sum(norm.per_channel * norm.channels.count(keep) for norm in self._norms.values())
        return np.rint(total + norms)

    def _sum_macs(self, total: Any, keep: Sequence[Any]) -> Any:
        for layer in self._layers.values():
            outputs = layer.outputs.count(keep)
            total += outputs * layer.fan_in(keep) * layer.kernel * layer.positions
        return np.rint(total)

    def input_shapes(self) -> dict[str, torch.Size]:
        """Shape of the input of every linear and convolution layer, in the order of the calls."""
        return {name: layer.input_shape for name, layer in self._layers.items()}

    def channels(self, keep: Sequence[int]) -> dict[str, tuple[int, int]]:
        """Numbers of inputs and outputs of every layer when group i keeps ``keep[i]`` clusters.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> ClusterGraph(network, torch.rand(1, 4)).channels([3, 2])
        {'0': (4, 3), '2': (3, 2)}
        """
        return {
            name: (round(layer.inputs.count(keep)), round(layer.outputs.count(keep)))
            for name, layer in self._layers.items()
        }

    def resized(self, network: nn.Module, keep: Sequence[int]) -> nn.Module:
        """A copy of the network in the shape it has when group i keeps ``keep[i]`` clusters.

        Every layer keeps its first channels; only their number matters. The copy is good for
        measuring, or to be filled with other weights.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> ClusterGraph(network, torch.rand(1, 4)).resized(network, [3, 2])
        Sequential(
          (0): Linear(in_features=4, out_features=3, bias=True)
          (1): ReLU()
          (2): Linear(in_features=3, out_features=2, bias=True)
        )
        """
        network = copy.deepcopy(network)
        for name, (inputs, outputs) in self.channels(keep).items():
            resize(network.get_submodule(name), inputs, outputs)
        for name, norm in self._norms.items():
            resize_norm(network.get_submodule(name), round(norm.channels.count(keep)))
        return network


def _follow(network: nn.Module, inputs: tuple[Any, ...]) -> LabelPropagation:
    try:
        with evaluating(network):
            labels = LabelPropagation(concrete_trace(network, inputs), len(inputs[0]))
            labels.follow(*inputs)
    except Exception as error:
        raise ValueError(f"the network cannot be followed: {one_line(error)}") from error
    return labels


class _Channels(NamedTuple):
    """Channels of one dimension: some are fixed, the others come with clusters of the groups."""

    fixed: int
    per_cluster: list[tuple[int, float]]  # (group, number of channels for each of its clusters)

    def count(self, keep: Sequence[Any]) -> Any:
        """Number of channels when group i keeps ``keep[i]`` clusters."""
        return self.fixed + sum(number * keep[group] for group, number in self.per_cluster)


def _channels(
    ids: torch.Tensor, labels: LabelPropagation, group_of: Mapping[int, int], sizes: Sequence[int]
) -> _Channels:
    fixed = 0
    per_group: dict[int, int] = {}
    for label in ids.tolist():
        group = group_of.get(labels.root(label)) if label != FIXED else None
        if group is None:
            fixed += 1
        else:
            per_group[group] = per_group.get(group, 0) + 1
    return _Channels(fixed, [(group, count / sizes[group]) for group, count in per_group.items()])


class _CountedLayer(NamedTuple):
    """What a linear or convolution layer costs is computed from these numbers."""

    inputs: _Channels
    outputs: _Channels
    groups: int | None  # None for depthwise convolutions, which have one per channel
    kernel: int  # weights that connect one input channel to one output channel
    has_bias: bool
    positions: int  # output positions of one example
    input_shape: torch.Size

    @classmethod
    def of(cls, layer: Layer, inputs: _Channels, outputs: _Channels) -> _CountedLayer:
        return cls(
            inputs,
            outputs,
            None if depthwise(layer.module) else getattr(layer.module, "groups", 1),
            layer.module.weight.shape[2:].numel(),
            layer.module.bias is not None,
            layer.positions,
            layer.shape,
        )

    def fan_in(self, keep: Sequence[Any]) -> Any:
        """Number of input channels that each output channel reads."""
        return 1 if self.groups is None else self.inputs.count(keep) / self.groups


class _CountedNorm(NamedTuple):
    per_channel: float  # weights and biases of each channel
    channels: _Channels
