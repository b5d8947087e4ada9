"""Which clusters of a network live and die together, and what each costs.

The traced network is run on *labels*: every activation is replaced by a tensor of its shape that holds, for each
element, the cluster it comes from. Layers with weights read labels and write new ones; what moves elements (views,
concatenations, reorganisations) moves labels; what combines elements one by one (shortcuts, gates) ties their labels.
Whatever is not understood, or reaches the network's output, freezes the clusters involved: they must stay.
"""
from __future__ import annotations

import math
from typing import Any, NamedTuple, Sequence

import torch
from nni.common.concrete_trace_utils import concrete_trace
from torch import nn
from torch.fx import Interpreter

from . import cost
from .modes import evaluating

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
# Layers and functions by what they do to labels, named as torch names them (in lower case, without _ and 1d, 2d, 3d).
_PASS = set("""relu relu6 leakyrelu elu selu celu gelu silu mish sigmoid tanh hardswish hardsigmoid hardtanh softplus logsigmoid
    dropout alphadropout featuredropout identity contiguous clone detach float abs neg exp sqrt clamp clip to
    stochasticdepth""".split())
_MOVE = set("""view reshape permute transpose flatten unflatten cat concat stack chunk split getitem squeeze unsqueeze expand
    repeat pixelshuffle pixelunshuffle flip movedim swapaxes t unbind narrow select""".split())
_SHAPE = set("view reshape unflatten expand".split())  # of these, the numbers written out in the program matter
_POOL = set("""maxpool avgpool adaptiveavgpool adaptivemaxpool lppool interpolate upsample upsamplingnearest
    upsamplingbilinear zeropad reflectionpad replicationpad constantpad pad""".split())
_REDUCE = set("mean sum amax amin".split())
_TIE = set("add iadd sub isub mul imul div truediv maximum minimum".split())
_PLAIN = set("size dim getattr len int bool assert floordiv numel".split())
_FIXED = 0  # label of what belongs to no cluster


class Group(NamedTuple):
    """Clusters that live and die together: cluster i of every one of its layers.

    `blocks`: as many clusters must go from each of that many equal parts (grouped convolutions). `frozen`: all must stay.
    """

    clusters: int
    layers: tuple[str, ...]
    blocks: int
    frozen: bool


class _Layer(NamedTuple):
    module: nn.Module
    outputs: torch.Tensor  # labels of the output channels
    inputs: torch.Tensor  # labels of the input slots
    positions: int  # output positions of one example, over all calls


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
        inputs = tuple(example_input) if isinstance(example_input, (tuple, list)) else (example_input,)
        try:
            with evaluating(network):
                labels = _Labels(concrete_trace(network, inputs), len(inputs[0]))
                labels.follow(*inputs)
        except Exception as error:
            raise ValueError(f"the network cannot be followed: {' '.join(str(error).split()) or repr(error)}") from error
        self._find_groups(labels)
        self._count_inputs(labels)
        sizes = [group.clusters for group in self.groups]
        self._other_parameters = self._other_macs = 0
        self._other_parameters = cost.synapses(network) - self.parameters(sizes)
        self._other_macs = cost.macs(network, inputs[0]) - self.macs(sizes) if len(inputs) == 1 else 0

    def _find_groups(self, labels: "_Labels") -> None:
        layers = [(name, [labels.root(label) for label in layer.outputs.tolist()], layer)
                  for name, layer in labels.layers.items()]
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
        frozen_roots = {labels.root(label) for label in labels.frozen}
        for merged in filter(None, members):
            merged.reverse()
            roots = merged[0][1]
            alike = all(other == roots for _, other, _ in merged) and len(set(roots)) == len(roots)
            frozen = not alike or not frozen_roots.isdisjoint(root for _, others, _ in merged for root in others)
            names = tuple(sorted(name for name, _, _ in merged))
            blocks = math.lcm(*(_blocks(layer.module) for _, _, layer in merged))
            frozen = frozen or len(roots) % blocks > 0
            for root in {root for _, others, _ in merged for root in others}:
                self._group_of[root] = len(self.groups)
            size = len({root for _, others, _ in merged for root in others})
            self.groups.append(Group(size, names, blocks, frozen))
        for layer in labels.layers.values():  # a grouped convolution needs as many inputs in each group, too
            if _blocks(layer.module) > 1:
                self._divide([labels.root(label) for label in layer.inputs.tolist()], _blocks(layer.module), labels)

    def _divide(self, roots: list[int], parts: int, labels: "_Labels") -> None:
        """Let a group lose as many clusters in each part; freeze whatever is not one group in its own order."""
        for index in {self._group_of[root] for root in roots if root in self._group_of}:
            group = self.groups[index]
            first = labels.layers[group.layers[0]].outputs.tolist()
            blocks = math.lcm(group.blocks, parts)
            fits = group.clusters % blocks == 0 and [labels.root(label) for label in first] == roots
            self.groups[index] = group._replace(blocks=blocks if fits else group.blocks, frozen=group.frozen or not fits)

    def _count_inputs(self, labels: "_Labels") -> None:
        """For every layer: its group, its fixed input slots, and its slots for each surviving cluster of other groups."""
        self._layers = []
        sizes = [group.clusters for group in self.groups]

        def slots(ids):
            fixed, per_group = 0, {}
            for label in ids.tolist():
                index = self._group_of.get(labels.root(label)) if label != _FIXED else None
                if index is None:
                    fixed += 1
                else:
                    per_group[index] = per_group.get(index, 0) + 1
            return fixed, [(index, count / sizes[index]) for index, count in per_group.items()]

        for layer in labels.layers.values():
            self._layers.append((layer.module, slots(layer.outputs), slots(layer.inputs), layer.positions))
        self._norms = [(sum(p.numel() for p in module.parameters(recurse=False)) / max(len(ids), 1), slots(ids))
                       for module, ids in labels.norms.values()]

    @staticmethod
    def _alive(slots, keep) -> float:
        fixed, per_group = slots
        return fixed + sum(count * keep[index] for index, count in per_group)

    def parameters(self, keep: Sequence[int]) -> int:
        """Weights and biases of the network when group i keeps `keep[i]` clusters."""
        total = self._other_parameters
        for module, outputs, inputs, _ in self._layers:
            out = self._alive(outputs, keep)
            fan_in = self._alive(inputs, keep) / getattr(module, "groups", 1) if not _depthwise(module) else 1
            total += out * fan_in * _kernel(module) + (out if module.bias is not None else 0)
        return round(total + sum(each * self._alive(slots, keep) for each, slots in self._norms))

    def macs(self, keep: Sequence[int]) -> int:
        """Multiply-accumulates for one input when group i keeps `keep[i]` clusters."""
        total = self._other_macs
        for module, outputs, inputs, positions in self._layers:
            fan_in = self._alive(inputs, keep) / getattr(module, "groups", 1) if not _depthwise(module) else 1
            total += self._alive(outputs, keep) * fan_in * _kernel(module) * positions
        return round(total)


def _kernel(module) -> int:
    return module.weight[0, 0].numel() if module.weight.dim() > 2 else 1


def _depthwise(module) -> bool:
    return getattr(module, "groups", 1) > 1 and module.groups == module.in_channels == module.out_channels


def _blocks(module) -> int:
    return 1 if _depthwise(module) else getattr(module, "groups", 1)


def _name_of(function: Any) -> str:
    name = function if isinstance(function, str) else getattr(function, "__name__", type(function).__name__)
    return name.lower().replace("_", "").removesuffix("1d").removesuffix("2d").removesuffix("3d")


class _Labels(Interpreter):
    """Runs a traced network on labels."""

    def __init__(self, graph, batch: int):
        super().__init__(graph)
        self._batch, self._parents = batch, [_FIXED]
        self.layers: dict[str, _Layer] = {}
        self.norms: dict[str, tuple[nn.Module, torch.Tensor]] = {}
        self.frozen = {_FIXED}

    @torch.no_grad()
    def follow(self, *inputs) -> None:
        self._freeze(self.run(*(_unlabelled(x) for x in inputs)))

    def run_node(self, node):
        self._node = node  # its arguments tell numbers written out in the program from those it computed
        return super().run_node(node)

    def get_attr(self, target, args, kwargs):
        return _unlabelled(super().get_attr(target, args, kwargs))

    def root(self, label: int) -> int:
        label = int(label)
        while self._parents[label] != label:
            self._parents[label] = label = self._parents[self._parents[label]]
        return label

    def _tie(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parents[high] = low

    def _new(self, count: int, device: torch.device) -> torch.Tensor:
        first = len(self._parents)
        self._parents += range(first, first + count)
        return torch.arange(first, first + count, dtype=torch.float32, device=device)

    def _tie_all(self, ones: torch.Tensor, others: torch.Tensor) -> None:
        for one, other in zip(ones.tolist(), others.tolist()):
            self._tie(one, other)

    def _freeze(self, values: Any) -> None:
        for value in _tensors(values):
            if value.is_floating_point():
                self.frozen.update(value.unique().int().tolist())

    def _channels(self, labels: torch.Tensor, dim: int) -> torch.Tensor:
        """The label of each channel; a channel that mixes clusters ties them all and freezes them."""
        rows = labels.movedim(dim, 0).flatten(1)
        for row in rows[(rows != rows[:, :1]).any(1)]:
            self._freeze(row)
        return rows[:, 0]

    def call_module(self, target, args, kwargs):
        module = self.fetch_attr(target)
        name = _name_of(type(module).__name__)
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            return self._layer(target, module, args[0])
        if isinstance(module, _NORMS):
            ids = self._channels(args[0], 1)
            self._tie_all(self.norms.setdefault(target, (module, ids))[1], ids)  # called again: it has one set of weights
            return args[0]
        return self._apply(name, module, args, kwargs)

    def _layer(self, name, module, labels):
        dim = -1 if isinstance(module, nn.Linear) else labels.dim() - (module.weight.dim() - 1)
        inputs = self._channels(labels, dim)
        shape = list(module(labels.to(module.weight)).shape)
        positions = torch.Size(shape).numel() // shape[dim] // self._batch
        known = self.layers.get(name)
        outputs = known.outputs if known else self._new(shape[dim], labels.device)
        if known:  # called again: what it reads now must live and die with what it read before
            self._tie_all(known.inputs, inputs)
            positions += known.positions
        if _depthwise(module):
            self._tie_all(outputs, inputs)
        for other in self.layers.values():  # NNI makes each layer small by itself, which parts weights that two layers share
            if other.module is not module and other.module.weight is module.weight:
                self._freeze([outputs, inputs, other.outputs, other.inputs])
        self.layers[name] = _Layer(module, outputs, inputs, positions)
        view = [1] * len(shape)
        view[dim] = -1
        return outputs.view(view).expand(shape).clone()

    def call_function(self, target, args, kwargs):
        return self._apply(_name_of(target), target, args, kwargs)

    def call_method(self, target, args, kwargs):
        method = getattr(type(args[0]), target)
        return self._apply(_name_of(target), method, args, kwargs)

    def _apply(self, name, function, args, kwargs):
        values = [value for value in _tensors((args, kwargs)) if value.is_floating_point()]
        if not values:
            return _unlabelled(function(*args, **kwargs))
        if name in _PASS:
            return args[0]
        if name in _TIE:
            operands = [value if value.is_floating_point() else torch.zeros_like(value, dtype=torch.float32)
                        for value in _tensors((args, kwargs))]  # a mask, as from a comparison, belongs to no cluster
            return self._tied(operands) if len(operands) > 1 else operands[0]
        output = function(*args, **kwargs)
        if name in _PLAIN and not _tensors(output):
            return output
        if name in _MOVE or name in _PLAIN:
            if not self._counts_alike(name, values, output, kwargs):
                self._freeze(values)
            return output
        if (name in _POOL or name in _REDUCE) and isinstance(output, torch.Tensor) and len(values) == 1 and values[0].dim() > 2:
            channels = values[0].movedim(1, 0).flatten(1)
            if (channels == channels[:, :1]).all() and output.dim() > 1 and output.shape[1] == values[0].shape[1] \
                    and not (name in _REDUCE and _reduces_channels(values[0].dim(), args, kwargs)):
                return channels[:, 0].view(1, -1, *[1] * (output.dim() - 2)).expand(output.shape).clone()
        self._freeze(values)
        return _unlabelled(output)

    def _counts_alike(self, name, values, output, kwargs) -> bool:
        """Whether a move would do the same with fewer clusters: it takes none apart, and no number in it counts them."""
        everything = torch.cat([value.unique() for value in values]).unique()
        if any(not torch.equal(piece.unique(), everything) for piece in _tensors(output)):
            return False
        if name == "getitem" and _tensors(self._node.args[1:]):
            return False
        if name not in _SHAPE:
            return True
        if name == "unflatten" or kwargs:
            return not any(_varies(output, dim) for dim in range(output.dim()))
        sizes = self._node.args[1:]
        sizes = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
        return not any(isinstance(size, int) and size > 0 and _varies(output, dim) for dim, size in enumerate(sizes))

    def _tied(self, values):
        one, other = torch.broadcast_tensors(*values[:2])
        if any(value.numel() == 1 and value.item() == _FIXED for value in values[:2]):  # a single factor suits any number
            return torch.maximum(one, other)
        pairs = (one.long() * len(self._parents) + other.long()).unique()  # as one number each: far faster to sort
        for pair in pairs.tolist():
            self._tie(*divmod(pair, len(self._parents)))
        return torch.where(one == _FIXED, other, one)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def _unlabelled(values: Any) -> Any:
    """The same with every number of a network's own (weights, inputs) replaced by the label of no cluster."""
    return torch.utils._pytree.tree_map(lambda x: torch.zeros_like(x, dtype=torch.float32) if isinstance(x, torch.Tensor)
                                        and x.is_floating_point() else x, values)


def _varies(labels: torch.Tensor, dim: int) -> bool:
    return bool((labels != labels.narrow(dim, 0, 1)).any())


def _reduces_channels(dims: int, args, kwargs) -> bool:
    over = kwargs.get("dim", args[1] if len(args) > 1 else None)
    over = (over,) if isinstance(over, int) else over
    return over is None or any(dim % dims == 1 for dim in over)
