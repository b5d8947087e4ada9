"""Which cluster every element of every activation comes from.

A traced network is run on *labels*: every activation is replaced by a tensor of its shape that holds, for each element,
the cluster it comes from. Layers with weights read labels and write new ones; what moves elements (views, concatenations,
reorganisations) moves labels; what combines elements one by one (shortcuts, gates) ties their labels. Whatever is not
understood, or reaches the network's output, freezes the clusters involved: they must stay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn
from torch.fx import Interpreter

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)
# Layers and functions by what they do to labels, named as torch names them (in lower case, without _ and 1d, 2d, 3d).
_PASS = {
    "relu",
    "relu6",
    "leakyrelu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "tanh",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "softplus",
    "logsigmoid",
    "dropout",
    "alphadropout",
    "featuredropout",
    "identity",
    "contiguous",
    "clone",
    "detach",
    "float",
    "abs",
    "neg",
    "exp",
    "sqrt",
    "clamp",
    "clip",
    "to",
    "stochasticdepth",
}
_MOVE = {
    "view",
    "reshape",
    "permute",
    "transpose",
    "flatten",
    "unflatten",
    "cat",
    "concat",
    "stack",
    "chunk",
    "split",
    "getitem",
    "squeeze",
    "unsqueeze",
    "expand",
    "repeat",
    "pixelshuffle",
    "pixelunshuffle",
    "flip",
    "movedim",
    "swapaxes",
    "t",
    "unbind",
    "narrow",
    "select",
}
_SHAPE = {
    "view",
    "reshape",
    "unflatten",
    "expand",
}  # of these, the numbers written out in the program matter
_POOL = {
    "maxpool",
    "avgpool",
    "adaptiveavgpool",
    "adaptivemaxpool",
    "lppool",
    "interpolate",
    "upsample",
    "upsamplingnearest",
    "upsamplingbilinear",
    "zeropad",
    "reflectionpad",
    "replicationpad",
    "constantpad",
    "pad",
}
_REDUCE = {"mean", "sum", "amax", "amin"}
_TIE = {"add", "iadd", "sub", "isub", "mul", "imul", "div", "truediv", "maximum", "minimum"}
_PLAIN = {"size", "dim", "getattr", "len", "int", "bool", "assert", "floordiv", "numel"}
FIXED = 0  # label of what belongs to no cluster


class Layer(NamedTuple):
    module: nn.Module
    outputs: torch.Tensor  # labels of the output channels
    inputs: torch.Tensor  # labels of the input slots
    positions: int  # output positions of one example, over all calls
    shape: torch.Size  # of its input, at the first call


def depthwise(module) -> bool:
    return (
        getattr(module, "groups", 1) > 1
        and module.groups == module.in_channels == module.out_channels
    )


def _name_of(function: Any) -> str:
    name = (
        function
        if isinstance(function, str)
        else getattr(function, "__name__", type(function).__name__)
    )
    return name.lower().replace("_", "").removesuffix("1d").removesuffix("2d").removesuffix("3d")


class Labels(Interpreter):
    """Runs a traced network on labels."""

    def __init__(self, graph, batch: int):
        super().__init__(graph)
        self._batch, self._parents = batch, [FIXED]
        self.layers: dict[str, Layer] = {}
        self.norms: dict[str, tuple[nn.Module, torch.Tensor]] = {}
        self.frozen = {FIXED}

    @torch.no_grad()
    def follow(self, *inputs) -> None:
        self._freeze(self.run(*(_unlabelled(x) for x in inputs)))

    def run_node(self, node):
        self._node = (
            node  # its arguments tell numbers written out in the program from those it computed
        )
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
            self._tie_all(
                self.norms.setdefault(target, (module, ids))[1], ids
            )  # called again: it has one set of weights
            return args[0]
        return self._apply(name, module, args, kwargs)

    def _layer(self, name, module, labels):
        dim = -1 if isinstance(module, nn.Linear) else labels.dim() - (module.weight.dim() - 1)
        inputs = self._channels(labels, dim)
        known, shape = self.layers.get(name), list(module(labels.to(module.weight)).shape)
        positions = torch.Size(shape).numel() // shape[dim] // self._batch
        outputs = known.outputs if known else self._new(shape[dim], labels.device)
        if known:  # called again: what it reads now must live and die with what it read before
            self._tie_all(known.inputs, inputs)
            positions += known.positions
        if depthwise(module):
            self._tie_all(outputs, inputs)
        for other in (
            self.layers.values()
        ):  # NNI makes each layer small by itself, which parts weights that two layers share
            if other.module is not module and other.module.weight is module.weight:
                self._freeze([outputs, inputs, other.outputs, other.inputs])
        self.layers[name] = Layer(
            module, outputs, inputs, positions, known.shape if known else labels.shape
        )
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
            operands = [
                value if value.is_floating_point() else torch.zeros_like(value, dtype=torch.float32)
                for value in _tensors((args, kwargs))
            ]  # a mask, as from a comparison, belongs to no cluster
            return self._tied(operands) if len(operands) > 1 else operands[0]
        output = function(*args, **kwargs)
        if name in _PLAIN and not _tensors(output):
            return output
        if name in _MOVE or name in _PLAIN:
            if not self._counts_alike(name, values, output, kwargs):
                self._freeze(values)
            return output
        if (
            (name in _POOL or name in _REDUCE)
            and isinstance(output, torch.Tensor)
            and len(values) == 1
            and values[0].dim() > 2
        ):
            channels = values[0].movedim(1, 0).flatten(1)
            if (
                (channels == channels[:, :1]).all()
                and output.dim() > 1
                and output.shape[1] == values[0].shape[1]
                and not (name in _REDUCE and _reduces_channels(values[0].dim(), args, kwargs))
            ):
                return (
                    channels[:, 0]
                    .view(1, -1, *[1] * (output.dim() - 2))
                    .expand(output.shape)
                    .clone()
                )
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
        return not any(
            isinstance(size, int) and size > 0 and _varies(output, dim)
            for dim, size in enumerate(sizes)
        )

    def _tied(self, values):
        one, other = torch.broadcast_tensors(*values[:2])
        if any(
            value.numel() == 1 and value.item() == FIXED for value in values[:2]
        ):  # a single factor suits any number
            return torch.maximum(one, other)
        pairs = (
            one.long() * len(self._parents) + other.long()
        ).unique()  # as one number each: far faster to sort
        for pair in pairs.tolist():
            self._tie(*divmod(pair, len(self._parents)))
        return torch.where(one == FIXED, other, one)


def _tensors(values: Any) -> list[torch.Tensor]:
    return [
        leaf for leaf in torch.utils._pytree.tree_leaves(values) if isinstance(leaf, torch.Tensor)
    ]


def _unlabelled(values: Any) -> Any:
    """The same with every number of a network's own (weights, inputs) replaced by the label of no cluster."""
    return torch.utils._pytree.tree_map(
        lambda x: (
            torch.zeros_like(x, dtype=torch.float32)
            if isinstance(x, torch.Tensor) and x.is_floating_point()
            else x
        ),
        values,
    )


def _varies(labels: torch.Tensor, dim: int) -> bool:
    return bool((labels != labels.narrow(dim, 0, 1)).any())


def _reduces_channels(dims: int, args, kwargs) -> bool:
    over = kwargs.get("dim", args[1] if len(args) > 1 else None)
    over = (over,) if isinstance(over, int) else over
    return over is None or any(dim % dims == 1 for dim in over)
