"""The layers whose output channels or neurons are the network's own outputs."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import fx, nn

from ..utils.module_copies import copy_of
from .layer_shapes import ChannelNorm, Convolution

_log = logging.getLogger(__name__)

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
_COMBINE = {"add", "iadd", "sub", "isub", "mul", "imul", "div", "truediv", "maximum", "minimum"}

# Operations that labels do not follow, but whose outputs are as many as their inputs.
_AS_MANY = {"softmax", "logsoftmax", "layernorm", "normalize", "rmsnorm", "groupnorm", "batchnorm"}


class _Tracer(fx.Tracer):
    """Keeps all linear and convolution layers whole, also those of classes of the user's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, (nn.Linear, Convolution)):
            return True
        return super().is_leaf_module(m, module_qualified_name)


def output_layers(network: nn.Module) -> set[str]:
    """Layers whose output channels or neurons are those of the network's output.

    It needs no example input, as it only follows the network's program backwards.

    Parameters
    ----------
    network
        Any network; it is left alone.

    Returns
    -------
    set of str
        Names of linear and convolution layers. Empty if torch.fx cannot trace the network.

    Examples
    --------
    >>> output_layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softmax(1)))
    {'2'}
    """
    try:
        # Tracing runs the network's program, which may store things in the network.
        network = copy_of(network, network.parameters())
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            graph = _Tracer().trace(network)
    except Exception as error:  # the network's own code, run on stand-ins, may raise anything
        _log.debug("the network's output layers are not known: %s", error)
        return set()
    return layers_before_output(graph, network)


def layers_before_output(graph: fx.Graph, network: nn.Module) -> set[str]:
    """Layers whose output channels or neurons are those of a traced network's output.

    Parameters
    ----------
    graph
        The network's program.
    network
        The network.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> layers_before_output(fx.symbolic_trace(network).graph, network)
    {'2'}
    """
    layers = set()
    waiting = [node for node in graph.nodes if node.op == "output"]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.op == "call_module" and _has_clusters(network.get_submodule(str(node.target))):
            layers.add(str(node.target))
        elif _hands_on(node, network):
            new = [before for before in node.all_input_nodes if before not in seen]
            waiting += new
            seen.update(new)
    return layers


def _has_clusters(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, Convolution))


def _hands_on(node: fx.Node, network: nn.Module) -> bool:
    """Whether an operation's outputs stand for the same clusters as its inputs."""
    if node.op == "output":
        return True
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        name = operation_name(type(module).__name__)
        return isinstance(module, ChannelNorm) or hands_clusters_on(name) or name in _AS_MANY
    if node.op in ("call_function", "call_method"):
        name = operation_name(node.target)
        return hands_clusters_on(name) or name in _AS_MANY or _is_spatial_mean(name, node)
    return False


def _is_spatial_mean(name: str, node: fx.Node) -> bool:
    """Whether a reduction is over the positions of images, as ``mean([2, 3])`` is."""
    dims = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    positions = ([2, 3], [3, 2], [-2, -1], [-1, -2])
    return (
        name in ("mean", "sum", "amax")
        and isinstance(dims, (list, tuple))
        and (list(dims) in positions)
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
