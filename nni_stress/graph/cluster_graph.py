"""Which clusters of a network are removed together, and what the network costs without them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..utils.batches import arguments_of, examples_in
from ..utils.messages import one_line
from ..utils.module_copies import copier
from .clusters import Alike, in_blocks
from .counting import Count, Counting, ModuleCosts
from .following.cutting import cut
from .following.follow import follow
from .following.relations import Reason
from .following.structure import OUTPUT, LabelledTensor, Removed, Structure, removed_flags
from .grouping import find_groups, group_indices, weight_of
from .memory_layout import memory_format_of
from .places import Trace, inputs_of, layers_of, trace_of
from .verification import verified


class ClusterGraph:
    """Groups of clusters of a network, and what the network costs for any number of survivors.

    A cluster (output channel, neuron, attention head, ...) is whatever can only be removed as a
    whole. Clusters are identified by numbers; 0 stands for what must stay.

    Parameters
    ----------
    network
        Any network that runs. Its mode and its weights are left alone.
    example_input
        One batch of inputs: a tensor, a tuple of several, or a mapping of keyword arguments.
    attention
        What attentions lose: whole ``"heads"``, or ``"width"``, the same in all their heads, where
        that is possible.

    Attributes
    ----------
    inputs : tuple or mapping
        The arguments that `example_input` stands for.
    structure : Structure
        Which indices of its tensors belong to which cluster.
    groups : list of Group
        Clusters that can be removed, alike ones in one group.
    clusters : list of list of int
        For each group, the numbers of its clusters, in the order of the layers' outputs.
    outputs : dict
        For each linear, convolution and embedding layer, in the order of the calls, the cluster of
        each of its outputs; 0 for those that must stay.
    frozen : dict
        For each layer of which outputs must stay, why.
    readers : list of tuple of str
        For each group, the layers that read its clusters.
    costs : ModuleCosts
        What each module costs.
    traces : dict
        Dimensions that show which clusters a network has: the outputs of every layer, and one
        dimension of a tensor for every group that is the outputs of no layer.

    Raises
    ------
    ValueError
        If the network does not run.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> graph = ClusterGraph(network, torch.rand(1, 4))
    >>> [(group.layers, group.clusters) for group in graph.groups]
    [(('0',), 6)]
    >>> graph.frozen["2"].text
    "reaches the network's output"
    >>> int(graph.parameters([6])), int(graph.parameters([3]))
    (44, 23)
    """

    def __init__(self, network: nn.Module, example_input: Any, attention: str = "heads"):
        self.inputs = (
            example_input if isinstance(example_input, Mapping) else arguments_of(example_input)
        )
        self.structure, sets = _structure(network, self.inputs, attention == "width")
        dims = layers_of(network, self.structure)
        self.groups, self.clusters = find_groups(self.structure, sets, dims)
        group_of = group_indices(self.clusters)
        sizes = [group.clusters for group in self.groups]
        self._counting = Counting(group_of, sizes, len(self.structure.roots))
        removable = removed_flags(self.structure, group_of)
        by_name = self.structure.by_name()
        self.outputs = {
            layer: np.where(removable[labels], labels, 0).tolist()
            for layer, dim in dims.items()
            for labels in [by_name[weight_of(layer)].dims[dim]]
        }
        self.frozen = {
            layer: self.structure.frozen.get(
                (by_name[weight_of(layer)].names[0], dims[layer]), _UNREAD
            )
            for layer, outputs in self.outputs.items()
            if 0 in outputs
        }
        self.traces = self._traces(dims, removable)
        read = {layer: inputs_of(by_name[weight_of(layer)], dim) for layer, dim in dims.items()}
        self.readers = [
            tuple(layer for layer in dims if any(clusters[0] in own for own in read[layer]))
            for clusters in self.clusters
        ]
        self._layers = {
            layer: self._counts(by_name[weight_of(layer)], dim, network.get_submodule(layer))
            for layer, dim in dims.items()
        }
        self.costs = ModuleCosts(
            self.structure, self._counting, len(self.groups), examples_in(self.inputs)
        )

    @property
    def output_layers(self) -> set[str]:
        """Layers whose outputs are those of the network."""
        return {layer for layer, reason in self.frozen.items() if reason.text == OUTPUT}

    def module_of(self, group: int) -> str:
        """Name of a module that has the clusters of a group in one of its parameters."""
        layers = self.groups[group].layers
        if layers:
            return layers[0]
        cluster = self.clusters[group][0]
        trace = trace_of(self.structure, cluster, removed_flags(self.structure, [cluster]))
        return trace.tensor.rpartition(".")[0]

    def why_frozen(self, module: str) -> str:
        """Why outputs of a layer must stay, or parameters of any module; in one line."""
        if module in self.frozen:
            return str(self.frozen[module])
        for (tensor, _), reason in self.structure.frozen.items():
            if tensor.rpartition(".")[0] == module:
                return str(reason)
        return "not reached by the example input"

    def _traces(self, dims: Mapping[str, int], removable: Removed) -> dict[str, Trace]:
        """Dimensions that show which clusters the network has."""
        traces = {
            layer: Trace(weight_of(layer), dim, self.outputs[layer]) for layer, dim in dims.items()
        }
        for group, clusters in zip(self.groups, self.clusters):
            if not group.layers:
                trace = trace_of(self.structure, clusters[0], removable)
                traces[trace.tensor] = trace
        return traces

    def _counts(self, tensor: LabelledTensor, output: int, layer: nn.Module) -> tuple[Count, Count]:
        """Counts of a layer's inputs and outputs."""
        if tensor.grouped is None and getattr(layer, "groups", 1) > 1:  # depthwise
            outputs = self._counting.of(tensor.dims[output])
            return outputs, outputs
        if tensor.grouped is not None:
            return self._counting.of(tensor.grouped), self._counting.of(tensor.dims[0])
        inputs = self._counting.of(tensor.dims[1 - output])
        return inputs, self._counting.of(tensor.dims[output])

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
        return self.costs.total_parameters(keep)

    @overload
    def macs(self, keep: Sequence[int]) -> float: ...
    @overload
    def macs(self, keep: Sequence[NDArray[Any]]) -> NDArray[np.float64]: ...
    def macs(self, keep: Sequence[Any]) -> Any:
        """Multiply-accumulates for one example when group i keeps ``keep[i]`` clusters.

        Parameters and results are those of :meth:`parameters`.
        """
        return self.costs.total_macs(keep)

    def input_shapes(self) -> dict[str, torch.Size | None]:
        """Shape of the input of every layer, in the order of the calls; None where not called."""
        return {layer: self.structure.input_shapes.get(layer) for layer in self.outputs}

    def channels(self, keep: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
        """Numbers of inputs and outputs of every layer when group i keeps ``keep[i]`` clusters.

        Arrays in `keep` give arrays of numbers.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> ClusterGraph(network, torch.rand(1, 4)).channels([3])
        {'0': (4, 3), '2': (3, 2)}
        """
        return {
            layer: (_whole(inputs.survivors(keep)), _whole(outputs.survivors(keep)))
            for layer, (inputs, outputs) in self._layers.items()
        }

    def removed(self, keep: Sequence[int]) -> set[int]:
        """The last clusters of each group, so many that group i keeps ``keep[i]``."""
        gone: set[int] = set()
        for group, clusters, count in zip(self.groups, self.clusters, keep):
            for block in in_blocks(clusters, group.blocks):
                gone.update(block[count // group.blocks :])
        return gone

    def resized(self, network: nn.Module, keep: Sequence[int]) -> nn.Module:
        """A copy of the network in the shape it has when group i keeps ``keep[i]`` clusters.

        Every group keeps its first clusters; only their number matters. The copy is good for
        measuring, or to be filled with other weights; it has the network's memory format.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> ClusterGraph(network, torch.rand(1, 4)).resized(network, [3])
        Sequential(
          (0): Linear(in_features=4, out_features=3, bias=True)
          (1): ReLU()
          (2): Linear(in_features=3, out_features=2, bias=True)
        )
        """
        memory_format = memory_format_of(network)
        network = copy.deepcopy(network)
        cut(network, self.structure, self.removed(keep))
        return network.to(memory_format=memory_format)

    def small_copies(self, network: nn.Module) -> Callable[[Set[int]], nn.Module]:
        """Return a function that copies the network without some clusters, to be evaluated.

        The network must not change meanwhile. Copies share tensors that lose nothing with it.

        Examples
        --------
        >>> network = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> small = ClusterGraph(network, torch.rand(1, 4)).small_copies(network)({1, 2})
        >>> small[0].out_features, small[2].bias is network[2].bias
        (4, True)
        """
        structure = self.structure
        in_place = structure.folds or any(
            ".parametrizations." in tensor.names[0] for tensor in structure.tensors
        )
        shared = () if in_place else (*network.parameters(), *network.buffers())
        copied = copier(network, shared)
        memory_format = memory_format_of(network)

        def small(removed: Set[int]) -> nn.Module:
            made = copied()
            cut(made, structure, removed)
            return made.to(memory_format=memory_format)

        return small


def _whole(count: Any) -> Any:
    return round(count) if np.ndim(count) == 0 else np.rint(count).astype(int)


_UNREAD = Reason("nothing reads it")


def _structure(network: nn.Module, inputs: Any, narrow: bool) -> tuple[Structure, list[Alike]]:
    """The verified structure, and its alike clusters.

    Where attentions are to be narrow, those that cannot lose width still lose whole heads.
    """
    structure = _followed(network, inputs)
    views = structure.heads if narrow else []
    while views:
        narrowed = _followed(network, inputs, {view.number: view.axis for view in views})
        found, sets = verified(network, narrowed, inputs)
        stuck = {view.attention for view in views if not found.roots[view.labels].any()}
        if not stuck:
            return found, sets
        views = [view for view in views if view.attention not in stuck]
    return verified(network, structure, inputs)


def _followed(
    network: nn.Module, inputs: Any, narrowed: Mapping[int, int] | None = None
) -> Structure:
    try:
        return follow(network, inputs, narrowed)
    except Exception as error:
        raise ValueError(f"the network cannot be followed: {one_line(error)}") from error
