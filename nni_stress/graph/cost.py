"""Costs of a network: synapses (weights and biases), multiply-accumulates, and clusters."""

from __future__ import annotations

import inspect
import math
from typing import Any, cast

import torch
from torch import nn
from torch.utils import flop_counter

from ..utils.batches import answer, first_example
from .following.follow import plainly
from .grouping import must_be_named, output_dim

# torch decorates this method so that the first operation it counts imports all of torch.compile,
# which takes more than a second. The undecorated method counts the same.
if _mode := getattr(flop_counter, "_FlopCounterMode", None):
    _mode.__torch_dispatch__ = inspect.unwrap(_mode.__torch_dispatch__)


def _vector_flops(first: Any, second: Any, *others: Any, **options: Any) -> int:
    """Of a vector's product with a matrix or a vector."""
    return 2 * math.prod(first)


def _matrix_vector_flops(bias: Any, matrix: Any, vector: Any, *others: Any, **options: Any) -> int:
    return 2 * math.prod(matrix)


def _trilinear_flops(*args: Any, **options: Any) -> int:
    """Of ``nn.Bilinear``."""
    shapes = [list(shape) for shape in args[:3]]
    for shape, dims in zip(shapes, args[3:6]):
        for dim in sorted(dims):
            shape.insert(dim, 1)
    return 2 * math.prod(torch.broadcast_shapes(*shapes))


# Products that torch's counter leaves out.
_FLOPS = {
    torch.ops.aten.mv: _vector_flops,
    torch.ops.aten.dot: _vector_flops,
    torch.ops.aten.addmv: _matrix_vector_flops,
    torch.ops.aten._trilinear: _trilinear_flops,  # noqa: SLF001
}


def synapses(network: nn.Module) -> int:
    """Number of weights and biases.

    Examples
    --------
    >>> synapses(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())


def clusters(network: nn.Module) -> int:
    """Number of clusters: output channels, neurons, units of recurrent layers, attention heads.

    A cluster that several layers have counts in each. Embeddings have none of their own.

    Examples
    --------
    >>> clusters(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Linear(6, 2)))
    8
    """
    total = 0
    for module in network.modules():
        dim = output_dim(module) if must_be_named(module) else None
        if dim is not None:
            total += cast(torch.Tensor, module.weight).shape[dim]
        elif isinstance(module, nn.RNNBase):
            total += module.hidden_size * module.num_layers * (1 + module.bidirectional)
        elif isinstance(module, nn.MultiheadAttention):
            total += module.num_heads
    return total


def macs(network: nn.Module, example_input: Any) -> int:
    """Multiply-accumulates of convolutions and matrix products, for one example.

    Parameters
    ----------
    network
        The network; it is run once in evaluation mode.
    example_input
        One batch of inputs: a tensor, a tuple of several, or a mapping of keyword arguments. Only
        its first example is used.

    Examples
    --------
    >>> macs(nn.Conv2d(3, 8, 3, padding=1), torch.rand(2, 3, 10, 10)) == 3 * 8 * 3 * 3 * 10 * 10
    True
    """
    counter = flop_counter.FlopCounterMode(display=False, custom_mapping=_FLOPS)
    with torch.no_grad(), plainly(network), counter:
        answer(network, first_example(example_input))
    return counter.get_total_flops() // 2


def architecture(network: nn.Module) -> dict[str, list[int]]:
    """Shape of the weight of every layer that has one, in order of definition.

    Examples
    --------
    >>> architecture(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    {'0': [3, 4], '2': [2, 3]}
    """
    return {
        name: list(module.weight.shape)
        for name, module in network.named_modules()
        if isinstance(getattr(module, "weight", None), torch.Tensor)
    }
