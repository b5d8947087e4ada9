"""Which cluster (output channel or neuron) every element of every activation comes from.

A traced network is run on *labels*: every activation is replaced by a tensor of the same shape that
holds, for each element, the number of the cluster it comes from. Layers with weights read labels
and produce new ones. Operations that move elements (views, concatenations, pixel shuffles) move the
labels. Operations that combine two activations element by element (shortcuts, gates) tie the labels
of the two together: these clusters must be removed together. Clusters that reach an operation that
is not understood, or the network's output, are frozen: they must stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import nn
from torch.fx import GraphModule, Interpreter, Node
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_map

from ..utils.batches import tensors_in

Convolution: TypeAlias = _ConvNd
ChannelNorm: TypeAlias = _NormBase  # batch norms and instance norms
WeightedLayer: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
FIXED = 0  # label of everything that belongs to no cluster

# Layers and functions by what they do to labels. The names are torch's, in lower case, without
# underscores and without the suffixes 1d, 2d and 3d.
_PASS_THROUGH = {
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
# Moves for which literal sizes in the program matter.
_RESHAPE = {
    "view",
    "reshape",
    "unflatten",
    "expand",
}
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
_COMBINE = {"add", "iadd", "sub", "isub", "mul", "imul", "div", "truediv", "maximum", "minimum"}
_METADATA = {"size", "dim", "getattr", "len", "int", "bool", "assert", "floordiv", "numel"}


class Layer(NamedTuple):
    """A linear or convolution layer as the labels saw it.

    Parameters
    ----------
    module
        The layer.
    outputs
        Label of each output channel, shape ``(out_channels,)``.
    inputs
        Label of each input slot, shape ``(in_channels,)``.
    positions
        Output positions of one example, summed over all calls of the layer.
    shape
        Shape of the layer's input at its first call.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    >>> labels = LabelPropagation(torch.fx.symbolic_trace(network), batch=1)
    >>> labels.follow(torch.rand(1, 1, 5, 5))
    >>> layer = labels.layers["0"]
    >>> layer.outputs.tolist(), layer.positions
    ([1.0, 2.0], 9)
    """

    module: WeightedLayer
    outputs: torch.Tensor
    inputs: torch.Tensor
    positions: int
    shape: torch.Size


def depthwise(module: nn.Module) -> bool:
    """Whether a layer is a depthwise convolution, with one filter for each of its channels.

    Examples
    --------
    >>> depthwise(nn.Conv2d(8, 8, 3, groups=8)), depthwise(nn.Conv2d(8, 8, 3, groups=4))
    (True, False)
    """
    return (
        isinstance(module, Convolution)
        and module.groups > 1
        and module.groups == module.in_channels == module.out_channels
    )


def operation_name(function: Any) -> str:
    """Name of a layer's type or of a function: in lower case, without underscores and dimensions.

    Examples
    --------
    >>> operation_name("AdaptiveAvgPool2d"), operation_name(torch.log_softmax)
    ('adaptiveavgpool', 'logsoftmax')
    """
    name = (
        function
        if isinstance(function, str)
        else getattr(function, "__name__", type(function).__name__)
    )
    return name.lower().replace("_", "").removesuffix("1d").removesuffix("2d").removesuffix("3d")


def hands_clusters_on(name: str) -> bool:
    """Whether the outputs of an operation stand for the same clusters as its inputs.

    Parameters
    ----------
    name
        As `operation_name` gives it.

    Examples
    --------
    >>> hands_clusters_on("relu"), hands_clusters_on("add"), hands_clusters_on("matmul")
    (True, True, False)
    """
    return any(name in names for names in (_PASS_THROUGH, _MOVE, _COMBINE, _POOL))


class LabelPropagation(Interpreter):
    """Runs a traced network on labels.

    Parameters
    ----------
    graph
        The traced network.
    batch
        Number of examples in the batch it will be run on.

    Attributes
    ----------
    layers
        Linear and convolution layers by name.
    norms
        Batch and instance norms by name, each with the label of each of its channels.
    reasons
        Why clusters must stay, by label.
    outputs
        Labels of the clusters that reach the network's output.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> labels = LabelPropagation(torch.fx.symbolic_trace(network), batch=1)
    >>> labels.follow(torch.rand(1, 2))
    >>> labels.layers["0"].outputs.tolist(), labels.layers["2"].inputs.tolist()
    ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    >>> labels.frozen, labels.reasons[4]
    ({0, 4}, "reaches the network's output")
    """

    def __init__(self, graph: GraphModule, batch: int):
        super().__init__(graph)
        self.layers: dict[str, Layer] = {}
        self.norms: dict[str, tuple[nn.Module, torch.Tensor]] = {}
        self.reasons = {FIXED: "belongs to no cluster"}
        self.outputs: set[int] = set()
        self._batch = batch
        self._parents = [FIXED]  # a union-find forest over the labels

    @torch.no_grad()
    def follow(self, *inputs: Any) -> None:
        """Run the network on labels, and freeze the clusters that reach its output."""
        output = self.run(*(_unlabelled(value) for value in inputs))
        self.outputs = _labels_in(output) - {FIXED}
        self._freeze(output, "reaches the network's output")

    @property
    def frozen(self) -> set[int]:
        """Labels of clusters that must stay. Compare them by their :meth:`root`."""
        return set(self.reasons)

    def run_node(self, node: Node) -> Any:
        """Run one node; remember it, as its arguments show which sizes are literals."""
        self._node = node
        return super().run_node(node)

    def get_attr(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Replace a parameter or buffer that the program reads directly."""
        return _unlabelled(super().get_attr(target, args, kwargs))

    def root(self, label: float) -> int:
        """The label that represents all labels tied to this one."""
        label = int(label)
        while self._parents[label] != label:
            self._parents[label] = self._parents[self._parents[label]]
            label = self._parents[label]
        return label

    def _tie(self, first: float, second: float) -> None:
        low, high = sorted((self.root(first), self.root(second)))
        self._parents[high] = low

    def _new(self, count: int, device: torch.device) -> torch.Tensor:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return torch.arange(start, start + count, dtype=torch.float32, device=device)

    def _tie_all(self, first: torch.Tensor, second: torch.Tensor) -> None:
        for label, other_label in zip(first.tolist(), second.tolist()):
            self._tie(label, other_label)

    def _freeze(self, values: Any, reason: str) -> None:
        for label in _labels_in(values):
            self.reasons.setdefault(label, reason)

    def _channels(self, labels: torch.Tensor, dim: int, layer: str) -> torch.Tensor:
        """The label of each channel; the clusters of a channel that mixes several are frozen."""
        rows = labels.movedim(dim, 0).flatten(1)
        for row in rows[(rows != rows[:, :1]).any(1)]:
            self._freeze(row, f"shares an input channel of {layer} with other clusters")
        return rows[:, 0]

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer on labels."""
        module = self.fetch_attr(target)
        if isinstance(module, WeightedLayer):
            return self._layer(target, module, args[0])
        if isinstance(module, ChannelNorm):
            channels = self._channels(args[0], 1, target)
            # A norm that is called again has one set of weights for both calls.
            self._tie_all(self.norms.setdefault(target, (module, channels))[1], channels)
            return args[0]
        kind = type(module).__name__
        return self._apply(operation_name(kind), module, args, kwargs, f"{target} ({kind})")

    def _layer(self, name: str, module: WeightedLayer, labels: torch.Tensor) -> torch.Tensor:
        dim = -1 if isinstance(module, nn.Linear) else labels.dim() - (module.weight.dim() - 1)
        inputs = self._channels(labels, dim, name)
        known = self.layers.get(name)
        shape = list(module(labels.to(module.weight)).shape)
        positions = torch.Size(shape).numel() // shape[dim] // self._batch
        outputs = known.outputs if known else self._new(shape[dim], labels.device)
        if known:  # called again: what it reads in either call must be removed together
            self._tie_all(known.inputs, inputs)
            positions += known.positions
        if depthwise(module):
            self._tie_all(outputs, inputs)
        for other, layer in self.layers.items():
            # NNI replaces each layer by itself, which would separate weights that two layers share.
            if layer.module is not module and layer.module.weight is module.weight:
                self._freeze(
                    [outputs, inputs, layer.outputs, layer.inputs],
                    f"is of a weight that {other} and {name} share",
                )
        input_shape = known.shape if known else labels.shape
        self.layers[name] = Layer(module, outputs, inputs, positions, input_shape)
        view = [1] * len(shape)
        view[dim] = -1
        return outputs.view(view).expand(shape).clone()

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function on labels."""
        name = getattr(target, "__name__", str(target))
        return self._apply(operation_name(target), target, args, kwargs, name)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a tensor's method on labels."""
        method = getattr(type(args[0]), target)
        return self._apply(operation_name(target), method, args, kwargs, target)

    def _apply(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        shown: str,
    ) -> Any:
        labelled = [value for value in tensors_in((args, kwargs)) if value.is_floating_point()]
        if not labelled:
            return _unlabelled(function(*args, **kwargs))
        if name in _PASS_THROUGH:
            return args[0]
        if name in _COMBINE:
            # A mask, as a comparison gives it, belongs to no cluster.
            operands = [
                value if value.is_floating_point() else torch.zeros_like(value, dtype=torch.float32)
                for value in tensors_in((args, kwargs))
            ]
            return self._combined(operands) if len(operands) > 1 else operands[0]
        output = function(*args, **kwargs)
        if name in _METADATA and not tensors_in(output):
            return output
        if name in _MOVE or name in _METADATA:
            if not self._works_with_fewer(name, labelled, output, kwargs):
                self._freeze(labelled, f"is moved by {shown} to a place or size that is fixed")
            return output
        if name in _POOL or name in _REDUCE:
            pooled = _pooled(name, labelled, output, args, kwargs)
            if pooled is not None:
                return pooled
        self._freeze(labelled, f"is read by {shown}, through which clusters are not followed")
        return _unlabelled(output)

    def _works_with_fewer(
        self, name: str, labelled: list[torch.Tensor], output: Any, kwargs: Mapping[str, Any]
    ) -> bool:
        """Whether a move would do the same with fewer clusters.

        It would if no output lacks some of the clusters, and if no literal size counts clusters.
        """
        everything = torch.cat([value.unique() for value in labelled]).unique()
        if any(not torch.equal(piece.unique(), everything) for piece in tensors_in(output)):
            return False
        if name == "getitem" and tensors_in(self._node.args[1:]):
            return False
        if name not in _RESHAPE:
            return True
        if name == "unflatten" or kwargs:
            return not any(_varies(output, dim) for dim in range(output.dim()))
        sizes: Sequence[Any] = self._node.args[1:]
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = sizes[0]
        return not any(
            isinstance(size, int) and size > 0 and _varies(output, dim)
            for dim, size in enumerate(sizes)
        )

    def _combined(self, values: list[torch.Tensor]) -> torch.Tensor:
        """Tie the labels of two operands, element by element."""
        first, second = torch.broadcast_tensors(*values[:2])
        # A single factor suits any number of clusters.
        if any(value.numel() == 1 and value.item() == FIXED for value in values[:2]):
            return torch.maximum(first, second)
        # Each pair as one number, which is far faster to sort.
        pairs = (first.long() * len(self._parents) + second.long()).unique()
        for pair in pairs.tolist():
            self._tie(*divmod(pair, len(self._parents)))
        return torch.where(first == FIXED, second, first)


def _labels_in(values: Any) -> set[int]:
    """All labels in a nested structure of labelled activations."""
    labels: set[int] = set()
    for value in tensors_in(values):
        if value.is_floating_point():
            labels.update(value.unique().int().tolist())
    return labels


def _unlabelled(values: Any) -> Any:
    """The same structure, with every floating-point number replaced by the label FIXED."""
    return tree_map(
        lambda value: (
            torch.zeros_like(value, dtype=torch.float32)
            if isinstance(value, torch.Tensor) and value.is_floating_point()
            else value
        ),
        values,
    )


def _pooled(
    name: str,
    labelled: list[torch.Tensor],
    output: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> torch.Tensor | None:
    """Labels after pooling or reducing over positions, or None where channels are mixed."""
    if not isinstance(output, torch.Tensor) or len(labelled) != 1 or labelled[0].dim() <= 2:
        return None
    labels = labelled[0]
    channels = labels.movedim(1, 0).flatten(1)
    if not (channels == channels[:, :1]).all():
        return None
    if output.dim() <= 1 or output.shape[1] != labels.shape[1]:
        return None
    if name in _REDUCE and _reduces_channels(labels.dim(), args, kwargs):
        return None
    view = channels[:, 0].view(1, -1, *[1] * (output.dim() - 2))
    return view.expand(output.shape).clone()


def _varies(labels: torch.Tensor, dim: int) -> bool:
    return bool((labels != labels.narrow(dim, 0, 1)).any())


def _reduces_channels(dims: int, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    reduced = kwargs.get("dim", args[1] if len(args) > 1 else None)
    reduced = (reduced,) if isinstance(reduced, int) else reduced
    return reduced is None or any(dim % dims == 1 for dim in reduced)
