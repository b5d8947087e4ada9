"""Costs of a network: synapses (weights and biases) and multiply-accumulates."""

from __future__ import annotations

import inspect

import torch
from torch import nn
from torch.utils import flop_counter

from ..utils.batches import arguments_of
from ..utils.module_modes import evaluating

# torch decorates this method so that the first operation it counts imports all of torch.compile,
# which takes more than a second. The undecorated method counts the same.
if _mode := getattr(flop_counter, "_FlopCounterMode", None):
    _mode.__torch_dispatch__ = inspect.unwrap(_mode.__torch_dispatch__)


def synapses(network: nn.Module) -> int:
    """Number of weights and biases.

    Examples
    --------
    >>> synapses(nn.Linear(3, 2))
    8
    """
    return sum(parameter.numel() for parameter in network.parameters())


def macs(network: nn.Module, example_input: torch.Tensor | tuple[torch.Tensor, ...]) -> int:
    """Multiply-accumulates of convolutions and matrix products, for one example.

    Parameters
    ----------
    network
        The network; it is run once in evaluation mode.
    example_input
        One batch of inputs, a tensor or a tuple of tensors. Only its first example is used.

    Examples
    --------
    >>> macs(nn.Conv2d(3, 8, 3, padding=1), torch.rand(2, 3, 10, 10)) == 3 * 8 * 3 * 3 * 10 * 10
    True
    """
    counter = flop_counter.FlopCounterMode(display=False)
    with torch.no_grad(), evaluating(network), counter:
        network(*(inputs[:1] for inputs in arguments_of(example_input)))
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
