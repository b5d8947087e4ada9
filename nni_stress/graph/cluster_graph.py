"""Which clusters of a network live and die together, and what each costs."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from nni.common.concrete_trace_utils import concrete_trace
from torch import nn

from ..utils.batches import arguments_of
from ..utils.module_modes import evaluating
from . import cost
from .label_propagation import FIXED, Labels, depthwise

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Group(NamedTuple):
    """Clusters that live and die together: cluster i of every one of its layers.

    `blocks`: as many clusters must go from each of that many equal parts (grouped convolutions). `frozen`: all must stay.
    """

    clusters: int
    layers: tuple[str, ...]
    blocks: int
    frozen: bool


class ClusterGraph:
    """Groups of clusters of a network, and what the physically small network costs for any number of survivors.

    Parameters
    ----------
    network
        Any network NNI can trace; its mode and its weights are left alone.
    example_input
        One batch of inputs, a tensor or a tuple of tensors.

    Raises
    ------
    ValueError
        If the network cannot be traced or followed.
    """

    def __init__(self, network: nn.Module, example_input: Any):
        inputs = arguments_of(example_input)
        try:
            with evaluating(network):
                labels = Labels(concrete_trace(network, inputs), len(inputs[0]))
                labels.follow(*inputs)
        except Exception as error:
            raise ValueError(
                f"the network cannot be followed: {' '.join(str(error).split()) or repr(error)}"
            ) from error
        self.inputs = inputs
        self._find_groups(labels)
        self._count_inputs(labels)
        sizes = [group.clusters for group in self.groups]
        self._other_parameters = self._other_macs = 0
        self._other_parameters = cost.synapses(network) - self.parameters(sizes)
        self._other_macs = cost.macs(network, inputs) - self.macs(sizes)

    def _find_groups(self, labels: Labels) -> None:
        layers = [
            (name, [labels.root(label) for label in layer.outputs.tolist()], layer)
            for name, layer in labels.layers.items()
        ]
        owner: dict[int, int] = {}  # root -> index of the group it is in
        members: list[list] = []
        for entry in layers:
            touched = sorted({owner[root] for root in entry[1] if root in owner})
            merged = [entry] + [member for index in touched for member in members[index]]
            for index in touched:
                members[index] = []
            for _, roots, _ in merged:
                owner.update(dict.fromkeys(roots, len(members)))
            members.append(merged)
        self.groups, self._group_of = [], {}
        self.clusters: list[
            list[int]
        ] = []  # of each group, by the numbers that `slots` and `norm_slots` know them by
        frozen_roots = {labels.root(label) for label in labels.frozen}
        for merged in filter(None, members):
            merged.reverse()
            roots = merged[0][1]
            alike = all(other == roots for _, other, _ in merged) and len(set(roots)) == len(roots)
            frozen = not alike or not frozen_roots.isdisjoint(
                root for _, others, _ in merged for root in others
            )
            names = tuple(sorted(name for name, _, _ in merged))
            blocks = math.lcm(*(_blocks(layer.module) for _, _, layer in merged))
            frozen = frozen or len(roots) % blocks > 0
            for root in {root for _, others, _ in merged for root in others}:
                self._group_of[root] = len(self.groups)
            self.clusters.append(
                list(dict.fromkeys(root for _, others, _ in merged for root in others))
            )
            self.groups.append(Group(len(self.clusters[-1]), names, blocks, frozen))
        for layer in (
            labels.layers.values()
        ):  # a grouped convolution needs as many inputs in each group, too
            if _blocks(layer.module) > 1:
                self._divide(
                    [labels.root(label) for label in layer.inputs.tolist()],
                    _blocks(layer.module),
                    labels,
                )

    def _divide(self, roots: list[int], parts: int, labels: Labels) -> None:
        """Let a group lose as many clusters in each part; freeze whatever is not one group in its own order."""
        for index in {self._group_of[root] for root in roots if root in self._group_of}:
            group = self.groups[index]
            first = labels.layers[group.layers[0]].outputs.tolist()
            blocks = math.lcm(group.blocks, parts)
            fits = group.clusters % blocks == 0 and [labels.root(label) for label in first] == roots
            self.groups[index] = group._replace(
                blocks=blocks if fits else group.blocks, frozen=group.frozen or not fits
            )

    def _count_inputs(self, labels: Labels) -> None:
        """For every layer: its group, its fixed input slots, and its slots for each surviving cluster of other groups."""
        self._layers = []
        # {layer: the cluster of each of its outputs, and of each of its input slots}, {norm: the cluster of each channel}
        self.slots = {
            name: (
                [*map(labels.root, layer.outputs.tolist())],
                [*map(labels.root, layer.inputs.tolist())],
            )
            for name, layer in labels.layers.items()
        }
        self.norm_slots = {
            name: [*map(labels.root, ids.tolist())] for name, (_, ids) in labels.norms.items()
        }
        sizes = [group.clusters for group in self.groups]

        def slots(ids):
            fixed, per_group = 0, {}
            for label in ids.tolist():
                index = self._group_of.get(labels.root(label)) if label != FIXED else None
                if index is None:
                    fixed += 1
                else:
                    per_group[index] = per_group.get(index, 0) + 1
            return fixed, [(index, count / sizes[index]) for index, count in per_group.items()]

        for name, layer in labels.layers.items():
            self._layers.append(
                _Counted(
                    name,
                    layer.module,
                    slots(layer.outputs),
                    slots(layer.inputs),
                    layer.positions,
                    layer.shape,
                )
            )
        self._norms = [
            (
                name,
                sum(p.numel() for p in module.parameters(recurse=False)) / max(len(ids), 1),
                slots(ids),
            )
            for name, (module, ids) in labels.norms.items()
        ]

    @staticmethod
    def _alive(slots, keep) -> float:
        fixed, per_group = slots
        return fixed + sum(count * keep[index] for index, count in per_group)

    def parameters(self, keep: Sequence) -> Any:
        """Weights and biases of the network when group i keeps `keep[i]` clusters; arrays of these give an array."""
        total = self._other_parameters
        for layer in self._layers:
            fan_in, out = self._fan(layer, keep)
            total += out * fan_in * _kernel(layer.module) + (
                out if layer.module.bias is not None else 0
            )
        return np.rint(
            total + sum(each * self._alive(slots, keep) for _, each, slots in self._norms)
        )

    def macs(self, keep: Sequence) -> Any:
        """Multiply-accumulates for one input when group i keeps `keep[i]` clusters; arrays of these give an array."""
        total = self._other_macs
        for layer in self._layers:
            fan_in, out = self._fan(layer, keep)
            total += out * fan_in * _kernel(layer.module) * layer.positions
        return np.rint(total)

    def _fan(self, layer: _Counted, keep: Sequence[int]) -> tuple[float, float]:
        """What an output of the layer reads from, and how many outputs there are."""
        read = (
            1
            if depthwise(layer.module)
            else self._alive(layer.inputs, keep) / getattr(layer.module, "groups", 1)
        )
        return read, self._alive(layer.outputs, keep)

    def input_shapes(self) -> dict[str, torch.Size]:
        """Shape of the input of every layer with weights."""
        return {layer.name: layer.shape for layer in self._layers}

    def channels(self, keep: Sequence[int]) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of every layer when group i keeps `keep[i]` clusters."""
        return {
            layer.name: (
                round(self._alive(layer.inputs, keep)),
                round(self._alive(layer.outputs, keep)),
            )
            for layer in self._layers
        }

    def resized(self, network: nn.Module, keep: Sequence[int]) -> nn.Module:
        """A copy of the network of the shape it has when group i keeps `keep[i]` clusters; which ones, is not its matter."""
        network = copy.deepcopy(network)
        modules = dict(network.named_modules())
        for name, (inputs, outputs) in self.channels(keep).items():
            resize(modules[name], inputs, outputs)
        for name, _, slots in self._norms:
            module, size = modules[name], round(self._alive(slots, keep))
            module.num_features = size
            for leaf, tensor in [
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ]:
                if tensor.dim():
                    _set(module, leaf, tensor[:size])
        return network


class _Counted(NamedTuple):
    name: str
    module: nn.Module
    outputs: (
        tuple  # how many are fixed, and how many there are for each surviving cluster of a group
    )
    inputs: tuple
    positions: int
    shape: torch.Size


def resize(layer: nn.Module, inputs: int, outputs: int) -> None:
    """Cut a linear or convolution layer to its first inputs and outputs, in place."""
    if depthwise(layer):
        layer.groups = outputs
    per_group = inputs // layer.groups if isinstance(layer, _CONVOLUTIONS) else inputs
    if isinstance(layer, _CONVOLUTIONS):
        layer.in_channels, layer.out_channels = inputs, outputs
    else:
        layer.in_features, layer.out_features = inputs, outputs
    _set(layer, "weight", layer.weight[:outputs, :per_group])
    if layer.bias is not None:
        _set(layer, "bias", layer.bias[:outputs])


def _set(module, name, tensor):
    old, tensor = module._parameters.get(name), tensor.detach().clone()
    setattr(
        module,
        name,
        tensor if old is None else nn.Parameter(tensor, requires_grad=old.requires_grad),
    )


def _kernel(module) -> int:
    return module.weight[0, 0].numel() if module.weight.dim() > 2 else 1


def _blocks(module) -> int:
    return 1 if depthwise(module) else getattr(module, "groups", 1)
